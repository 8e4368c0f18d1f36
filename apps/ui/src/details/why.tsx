import type { Why as WhyAnswer } from "@cilium-ts/service-map/view";
import type { ReactNode } from "react";
import { usePage } from "../state/page.tsx";
import { useAnswer } from "../state/use-answer.ts";

/** By the policies of now: which rules decide about the flow, and the smallest policy that would allow a drop. */
export function Why({ uuid, timeMs }: { readonly uuid: string; readonly timeMs: number }): ReactNode {
  const { go } = usePage();
  const answer = useAnswer<WhyAnswer>(`api/policies/why?${new URLSearchParams({ uuid, time: String(timeMs) })}`);
  if (answer.kind === "waiting") return <p className="muted">Asking which rules decide…</p>;
  if (answer.kind === "problem") return <p className="muted">Which rules decide cannot be told: {answer.problem}.</p>;
  const { verdict, lines, policies, remedy } = answer.value;
  const keys = [...new Map(policies.map((policy) => [keyOf(policy), policy])).values()].filter(({ kind }) => kind !== "reserved");
  return (
    <section className="why">
      <h4>
        Why: by the policies of now it is <span className={`verdict ${verdict === "allowed" ? "forwarded" : "dropped"}`}>{verdict}</span>
      </h4>
      {keys.map((policy) => (
        <button key={keyOf(policy)} type="button" className="link" onClick={() => go({ tab: "policies", policy: keyOf(policy) })}>
          {keyOf(policy)} {policy.path !== "" && <small>at {policy.path}</small>}
        </button>
      ))}
      {remedy !== "" && (
        <>
          <h4>The smallest policy that would allow it</h4>
          <pre tabIndex={0}>{remedy}</pre>
        </>
      )}
      <details>
        <summary>All reasons</summary>
        <pre tabIndex={0}>{lines.join("\n")}</pre>
      </details>
    </section>
  );
}

function keyOf({ kind, namespace, name }: WhyAnswer["policies"][number]): string {
  return [kind, namespace, name].filter((part) => part !== "").join("/");
}
