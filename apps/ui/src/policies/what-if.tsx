import type { WhatIfAnswer } from "@cilium-ts/service-map/view";
import type { ReactNode } from "react";
import type { Answer } from "../state/ask-backend.ts";

const rowsMax = 500;

/** Which recorded flows would get another verdict. */
export function WhatIf({ answer }: { readonly answer: Answer<WhatIfAnswer> }): ReactNode {
  if (answer.kind === "waiting") return <p role="status">Replaying what was recorded…</p>;
  if (answer.kind === "problem") return <p className="problem">It cannot be replayed: {answer.problem}.</p>;
  const { flows, unchanged, changed, notJudged } = answer.value;
  const changedCount = changed.reduce((sum, { count }) => sum + count, 0);
  return (
    <section aria-label="What would change" role="status">
      <h3>
        {changedCount === 0 ? "No verdict would change" : `${changedCount.toLocaleString()} flows would get another verdict`}{" "}
        <small>of {flows.toLocaleString()}</small>
      </h3>
      {changed.length > 0 && (
        <table>
          <thead>
            <tr>
              <th scope="col">From</th>
              <th scope="col">To</th>
              <th scope="col">Port</th>
              <th scope="col">Now</th>
              <th scope="col">Then</th>
              <th scope="col">Flows</th>
              <th scope="col">Because</th>
            </tr>
          </thead>
          <tbody>
            {changed.slice(0, rowsMax).map(({ from, to, protocol, port, before, after, count, because }) => (
              <tr key={`${from} ${to} ${protocol} ${port} ${before} ${after}`}>
                <td>{from}</td>
                <td>{to}</td>
                <td>
                  {port} {protocol}
                </td>
                <td>{before}</td>
                <td className={after === "allowed" ? "" : "dropped"}>{after}</td>
                <td>{count.toLocaleString()}</td>
                <td>{because}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <p className="muted">
        {unchanged.toLocaleString()} would stay as they are.{" "}
        {notJudged.map(({ reason, count }) => `${count.toLocaleString()} could not be judged: ${reason}.`).join(" ")}
      </p>
    </section>
  );
}
