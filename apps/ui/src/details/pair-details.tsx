import type { SeenFlow } from "@cilium-ts/service-map/view";
import type { ReactNode } from "react";
import { reasonOf } from "../flows/columns.ts";
import { LineSample } from "../map/legend.tsx";
import { pairState, portText, rateText } from "../map/pairs.ts";
import { usePage, useStore } from "../state/page.tsx";
import type { ShownLink } from "../state/view-store.ts";
import { Fact } from "./service-details.tsx";

const verdictNames = ["forwarded", "dropped", "audit", "error"] as const;
const flowsLookedAt = 5_000;

/** All that is known of what goes from one service to another. */
export function PairDetails({ source, destination }: { readonly source: string; readonly destination: string }): ReactNode {
  const { go } = usePage();
  const store = useStore("structure", "counts");
  const links = [...store.links.values()].filter((link) => link.source === source && link.destination === destination);
  if (links.length === 0) return <p className="empty">Nothing of this link is among the flows that are shown now.</p>;
  const nameOf = (id: string): string => store.services.get(id)?.name ?? id;
  return (
    <>
      <h3>
        <button type="button" className="link" onClick={() => go({ selection: { kind: "service", id: source } })}>
          {nameOf(source)}
        </button>
        {" → "}
        <button type="button" className="link" onClick={() => go({ selection: { kind: "service", id: destination } })}>
          {nameOf(destination)}
        </button>
      </h3>
      <LineSample state={pairState({ source, destination, links })} />
      {links.map((link) => (
        <LinkFacts key={link.id} link={link} />
      ))}
      <Reasons source={source} destination={destination} />
    </>
  );
}

function LinkFacts({ link }: { readonly link: ShownLink }): ReactNode {
  const { counts, rates, requests, authentication, isEncrypted } = link;
  return (
    <section>
      <h4>{portText(link)}</h4>
      <table className="counts">
        <thead>
          <tr>
            <th scope="col">Verdict</th>
            <th scope="col">Flows</th>
            <th scope="col">Now</th>
          </tr>
        </thead>
        <tbody>
          {verdictNames.map(
            (verdict, index) =>
              (counts[index] ?? 0) > 0 && (
                <tr key={verdict}>
                  <td>
                    <span className={`verdict ${verdict}`}>{verdict}</span>
                  </td>
                  <td>{(counts[index] ?? 0).toLocaleString()}</td>
                  <td>{rateText(rates[index] ?? 0)}</td>
                </tr>
              ),
          )}
        </tbody>
      </table>
      <dl>
        {authentication !== "" && <Fact name="Authentication">{authentication}</Fact>}
        {isEncrypted && <Fact name="Encrypted">yes</Fact>}
        {requests.length > 0 && (
          <Fact name="Requests">
            <ul>
              {[...requests]
                .sort((left, right) => right.count - left.count)
                .map(({ kind, method, target, count }) => (
                  <li key={`${kind} ${method} ${target}`}>
                    {method} {target} <small>{count.toLocaleString()}</small>
                  </li>
                ))}
            </ul>
          </Fact>
        )}
      </dl>
    </section>
  );
}

/** The last flows of each outcome: why they were let through or dropped. */
function Reasons({ source, destination }: { readonly source: string; readonly destination: string }): ReactNode {
  const { go, store } = usePage();
  const examples = new Map<string, SeenFlow>();
  for (const flow of store.flows.slice(-flowsLookedAt)) {
    if (isBetween(flow, store.services.get(source)?.identity, store.services.get(destination)?.identity))
      examples.set(`${flow.verdict}: ${reasonOf(flow) || "the datapath did not say why"}`, flow);
  }
  if (examples.size === 0) return null;
  return (
    <section>
      <h4>Why</h4>
      <ul className="neighbours">
        {[...examples].map(([reason, { uuid, timeMs }]) => (
          <li key={reason}>
            <button type="button" className="link" onClick={() => go({ selection: { kind: "flow", uuid, timeMs } })}>
              {reason}
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

function isBetween({ source, destination }: SeenFlow, one: number | undefined, other: number | undefined): boolean {
  const is = (identity: number, wanted: number | undefined): boolean => wanted === 0 || identity === wanted;
  return is(source.identity, one) && is(destination.identity, other);
}
