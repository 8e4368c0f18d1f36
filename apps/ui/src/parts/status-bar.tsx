import { type ReactNode, useEffect, useState } from "react";
import { SignInBanner } from "../sign-in/sign-in-banner.tsx";
import { useLostSession } from "../sign-in/use-session.ts";
import { usePage, useStore } from "../state/page.tsx";

/** How the page stands with its backend, and the backend with Hubble. */
export function StatusBar(): ReactNode {
  const { state, connection } = useStore("state");
  const flows = state?.flowsPerSecond ?? 0;
  const nodes = (state?.connectedNodes ?? 0) + (state?.unavailableNodes.length ?? 0);
  const isLive = connection.kind === "open" && state?.connection === "connected";
  return (
    <p className="status" role="status">
      <span className={`dot ${isLive ? "live" : "lost"}`} aria-hidden="true" />
      <strong>{isLive ? "Live" : connection.kind === "connecting" ? "Connecting" : "No connection"}</strong>
      {isLive && (
        <>
          <span>{flows < 10 ? flows.toFixed(1) : Math.round(flows).toLocaleString()} flows/s</span>
          <span className={state.unavailableNodes.length > 0 ? "dropped" : ""}>
            {state.connectedNodes}/{nodes} nodes
          </span>
        </>
      )}
      {(state?.lostEvents ?? 0) > 0 && (
        <span className="dropped" title="Events that were overwritten before they could be read: the map and the table lack them">
          {state?.lostEvents.toLocaleString()} events lost
        </span>
      )}
    </p>
  );
}

/** What people should know, and what works meanwhile. */
export function Banners(): ReactNode {
  const { problems, dismissProblems, retry, address } = usePage();
  const store = useStore("state");
  const { connection, state, notes, build, hasStarted } = store;
  const lost = useLostSession(retry);
  return (
    <div className="banners">
      {connection.kind === "lost" && (
        <Banner kind="bad">
          The connection to the backend was lost: {connection.reason}. <Countdown untilMs={connection.retryAtMs} />{" "}
          {hasStarted ? "What you see is what was known before; everything here still works on it." : "Nothing has come yet."}
        </Banner>
      )}
      {lost !== undefined && <SignInBanner lost={lost} isInUse={hasStarted || address.tab === "policies"} />}
      {connection.kind === "refused" && lost === undefined && (
        <Banner kind="bad">
          The backend does not answer this: {connection.reason}.{" "}
          <button type="button" onClick={retry}>
            Try again
          </button>
        </Banner>
      )}
      {connection.kind === "open" && state?.connection === "lost" && (
        <Banner kind="bad">
          The backend cannot reach Hubble: {state.reason}. It tries again by itself.{" "}
          {hasStarted && "What you see is what was known before."} Check hubble-relay: <code>hubble status</code> tells how it is.
        </Banner>
      )}
      {(state?.unavailableNodes.length ?? 0) > 0 && (
        <Banner kind="some">
          Flows of {state?.unavailableNodes.slice(0, 5).join(", ")}
          {(state?.unavailableNodes.length ?? 0) > 5 && ` and ${(state?.unavailableNodes.length ?? 0) - 5} more nodes`} are missing: their
          Hubble does not answer the relay.
        </Banner>
      )}
      {build !== "" && build !== pageBuild && (
        <Banner kind="some">
          The backend is version {build}, this page is {pageBuild}.{" "}
          <button type="button" onClick={() => location.reload()}>
            Load the page again
          </button>
        </Banner>
      )}
      {problems.length > 0 && (
        <Banner kind="some">
          Part of the address could not be read: {problems.join("; ")}. The rest is shown.{" "}
          <button type="button" onClick={dismissProblems}>
            Understood
          </button>
        </Banner>
      )}
      {notes.map((note) => (
        <Banner key={note} kind="some">
          {note}
        </Banner>
      ))}
      <MissingNamespaces names={address.query.namespaces} />
    </div>
  );
}

/** A namespace that was deleted while somebody looked at it. */
function MissingNamespaces({ names }: { readonly names: readonly string[] }): ReactNode {
  const { namespaces, hasStarted } = useStore("state");
  const known = new Map(namespaces.map((summary) => [summary.name, summary]));
  const missing = names.filter((name) => !known.has(name));
  const gone = names.filter((name) => known.get(name)?.isGone === true);
  if (!hasStarted) return null;
  return (
    <>
      {missing.length > 0 && (
        <Banner kind="some">
          No flows of {missing.join(", ")} have been seen: {missing.length === 1 ? "the namespace" : "these namespaces"} may be gone, or
          quiet.
        </Banner>
      )}
      {gone.length > 0 && (
        <Banner kind="some">
          {gone.join(", ")} {gone.length === 1 ? "has" : "have"} been deleted. What was seen before stays here for an hour.{" "}
          <ShowAllNamespaces />
        </Banner>
      )}
    </>
  );
}

function ShowAllNamespaces(): ReactNode {
  const { address, go } = usePage();
  return (
    <button type="button" onClick={() => go({ query: { ...address.query, namespaces: [] } })}>
      Show all namespaces
    </button>
  );
}

function Banner({ kind, children }: { readonly kind: "bad" | "some"; readonly children: ReactNode }): ReactNode {
  return (
    <p className={`banner ${kind}`} role={kind === "bad" ? "alert" : "status"}>
      {children}
    </p>
  );
}

function Countdown({ untilMs }: { readonly untilMs: number }): ReactNode {
  const [nowMs, setNowMs] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNowMs(Date.now()), 500);
    return () => clearInterval(timer);
  }, []);
  const seconds = Math.max(0, Math.ceil((untilMs - nowMs) / 1_000));
  return <>{seconds === 0 ? "Trying again now." : `Trying again in ${seconds} s.`}</>;
}
