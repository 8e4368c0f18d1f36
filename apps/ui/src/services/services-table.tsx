import { policyStates, type ServicePolicy } from "@cilium-ts/service-map/view";
import { type ReactNode, useMemo, useState } from "react";
import { type Pair, pairCounts, pairRate, portText, rateText, visibleMap } from "../map/pairs.ts";
import { PolicyMarks } from "../map/policy-mark.tsx";
import { subtitleOf } from "../map/scene.ts";
import { usePage, useStore } from "../state/page.tsx";

interface ServiceRow {
  readonly id: string;
  readonly name: string;
  readonly namespace: string;
  readonly what: string;
  readonly ports: readonly string[];
  readonly policy: ServicePolicy | null;
  readonly callers: number;
  readonly called: number;
  readonly rate: number;
  readonly drops: number;
}

function protection({ policy }: ServiceRow): number {
  return policy === null ? 100 : policyStates.indexOf(policy.ingress) + policyStates.indexOf(policy.egress);
}

const orders = {
  name: (left: ServiceRow, right: ServiceRow) => `${left.namespace}/${left.name}`.localeCompare(`${right.namespace}/${right.name}`),
  rate: (left: ServiceRow, right: ServiceRow) => right.rate - left.rate,
  drops: (left: ServiceRow, right: ServiceRow) => right.drops - left.drops,
  /** Whoever has none first. */
  policy: (left: ServiceRow, right: ServiceRow) => protection(left) - protection(right),
} as const;

const rowsMax = 1_000;

/** The map as a table: for many services, and for those who do not see the map. */
export function ServicesTable(): ReactNode {
  const { address, go } = usePage();
  const store = useStore("structure", "counts");
  const { structure, counts } = store.revisions;
  const [order, setOrder] = useState<keyof typeof orders>("name");
  const { focus, hidden, policyStates: wanted } = address;
  // The revisions stand for the maps, which are changed in place.
  const rows = useMemo(() => {
    const { services, pairs } = visibleMap(store.services, store.links.values(), { focus, hidden, policyStates: wanted });
    return rowsOf(services, pairs).sort(orders[order]);
  }, [store, structure, counts, focus, hidden, wanted, order]);
  if (rows.length === 0)
    return <p className="empty">{store.hasStarted ? "No service has been seen yet." : "Waiting for the first answer…"}</p>;
  const heading = (name: keyof typeof orders, title: string): ReactNode => (
    <th scope="col" aria-sort={order === name ? (name === "name" || name === "policy" ? "ascending" : "descending") : "none"}>
      <button type="button" className="link" onClick={() => setOrder(name)}>
        {title}
      </button>
    </th>
  );
  return (
    <section className="services" aria-label="Services" tabIndex={0}>
      <table>
        <thead>
          <tr>
            {heading("name", "Service")}
            <th scope="col">What</th>
            <th scope="col">Ports</th>
            {heading("policy", "Policy")}
            <th scope="col">Callers</th>
            <th scope="col">Calls</th>
            {heading("rate", "Flows")}
            {heading("drops", "Drops")}
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, rowsMax).map((row) => (
            <tr key={row.id}>
              <th scope="row">
                <button type="button" className="link" onClick={() => go({ selection: { kind: "service", id: row.id } })}>
                  {row.namespace === "" ? row.name : `${row.namespace}/${row.name}`}
                </button>
              </th>
              <td>{row.what}</td>
              <td>{row.ports.slice(0, 4).join(", ")}</td>
              <td className="policy-states">{row.policy !== null && <PolicyMarks policy={row.policy} />}</td>
              <td>{row.callers}</td>
              <td>{row.called}</td>
              <td>{rateText(row.rate)}</td>
              <td className={row.drops > 0 ? "dropped" : ""}>{row.drops.toLocaleString()}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > rowsMax && <p className="muted">{rows.length - rowsMax} more: filter, or choose a namespace.</p>}
    </section>
  );
}

function rowsOf(services: ReturnType<typeof visibleMap>["services"], pairs: readonly Pair[]): ServiceRow[] {
  const sums = new Map<string, { ports: Set<string>; callers: number; called: number; rate: number; drops: number }>();
  const of = (id: string) => {
    let sum = sums.get(id);
    if (sum === undefined) {
      sum = { ports: new Set(), callers: 0, called: 0, rate: 0, drops: 0 };
      sums.set(id, sum);
    }
    return sum;
  };
  for (const pair of pairs) {
    const [source, destination] = [of(pair.source), of(pair.destination)];
    source.called += 1;
    destination.callers += 1;
    for (const link of pair.links) destination.ports.add(portText(link));
    for (const sum of new Set([source, destination])) {
      sum.rate += pairRate(pair);
      sum.drops += pairCounts(pair)[1];
    }
  }
  return services.map((service) => ({
    id: service.id,
    name: service.name,
    namespace: service.namespace,
    what: subtitleOf(service),
    policy: service.policy,
    ...of(service.id),
    ports: [...of(service.id).ports],
  }));
}
