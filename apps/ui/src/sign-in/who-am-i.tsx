import { type ReactNode, useState } from "react";
import { Popover } from "../parts/popover.tsx";
import { askBackend } from "../state/ask-backend.ts";
import { useWho } from "./use-session.ts";

const namesMax = 20;

/** Who sits before the page, what that one sees here, and the way out. Nothing where nobody signs in. */
export function WhoAmI(): ReactNode {
  const who = useWho();
  const [problem, setProblem] = useState("");
  if (who === undefined || who.user === "") return null;
  const { user, namespaces, canSignOut } = who;
  const signOut = async (): Promise<void> => {
    const options = { signal: AbortSignal.timeout(15_000), body: "" };
    const answer = await askBackend<{ readonly location: string }>("auth/sign-out", options).catch(() => undefined);
    if (answer?.kind === "answer") location.assign(answer.value.location);
    else setProblem(answer?.kind === "problem" ? answer.problem : "there was no answer in time");
  };
  return (
    <Popover label={user} name="Signed in as">
      <p>
        Signed in as <strong>{user}</strong>.
      </p>
      <p className="muted">
        {namespaces === null
          ? "You see all namespaces."
          : `You see ${namespaces.slice(0, namesMax).join(", ")}${namespaces.length > namesMax ? ` and ${namespaces.length - namesMax} more namespaces` : ""}.`}
      </p>
      {canSignOut && (
        <button type="button" onClick={() => void signOut()}>
          Sign out
        </button>
      )}
      {problem !== "" && (
        <p className="problem" role="status">
          You are still signed in: {problem}.
        </p>
      )}
    </Popover>
  );
}
