import type { Service } from "@cilium-ts/service-map/view";
import type { ReactNode } from "react";
import { LineSample } from "../map/legend.tsx";
import { type Pair, pairCounts, pairRate, pairState, portText, rateText, visibleMap } from "../map/pairs.ts";
import { PolicyMarks } from "../map/policy-mark.tsx";
import { policyText } from "../map/policy-marks.ts";
import { subtitleOf } from "../map/scene.ts";
import { usePage, useStore } from "../state/page.tsx";
import { FilterValue } from "./filter-value.tsx";

const nobody = { focus: undefined, hidden: [], policyStates: [] };

export function ServiceDetails({ id }: { readonly id: string }): ReactNode {
  const { address, go } = usePage();
  const store = useStore("structure", "counts");
  const service = store.services.get(id);
  if (service === undefined) return <p className="empty">This service is not among the flows that are shown now.</p>;
  const { pairs } = visibleMap(store.services, store.links.values(), nobody);
  const isFocus = address.focus === id;
  const isPinned = address.pinned.includes(id);
  const toggled = (list: readonly string[], isIn: boolean): readonly string[] =>
    isIn ? list.filter((other) => other !== id) : [...list, id];
  return (
    <>
      <h3>{service.name}</h3>
      <p className="muted">{[service.namespace, subtitleOf(service)].filter((text) => text !== "").join(" · ")}</p>
      <p className="actions">
        <button type="button" aria-pressed={isFocus} onClick={() => go({ focus: isFocus ? undefined : id, tab: "map" })}>
          Focus
        </button>
        <button type="button" aria-pressed={isPinned} onClick={() => go({ pinned: toggled(address.pinned, isPinned) })}>
          Pin
        </button>
        <button
          type="button"
          onClick={() => go({ hidden: toggled(address.hidden, false), selection: undefined, focus: isFocus ? undefined : address.focus })}
        >
          Hide
        </button>
      </p>
      <ServiceFacts service={service} />
      <Neighbours title="Called by" pairs={pairs.filter(({ destination }) => destination === id)} end="source" />
      <Neighbours title="Calls" pairs={pairs.filter(({ source }) => source === id)} end="destination" />
    </>
  );
}

function ServiceFacts({ service }: { readonly service: Service }): ReactNode {
  const { identity, labels, workloads, names, cluster, policy } = service;
  const either = { isNegative: false, side: "either" } as const;
  return (
    <dl>
      {cluster !== "" && <Fact name="Cluster">{cluster}</Fact>}
      {policy !== null && (
        <Fact name="Policy">
          <PolicyMarks policy={policy} />
          <span className="muted">{policyText(policy)}</span>
        </Fact>
      )}
      {identity > 0 && (
        <Fact name="Identity">
          <FilterValue term={{ ...either, kind: "identity", query: String(identity) }}>{identity}</FilterValue>
        </Fact>
      )}
      {workloads.length > 0 && (
        <Fact name="Workloads">
          {workloads.map((workload) => (
            <FilterValue key={workload} term={{ ...either, kind: "workload", query: workload }}>
              {workload}
            </FilterValue>
          ))}
        </Fact>
      )}
      {names.length > 0 && (
        <Fact name="DNS names">
          {names.map((name) => (
            <FilterValue key={name} term={{ ...either, kind: "dns", query: name }}>
              {name}
            </FilterValue>
          ))}
        </Fact>
      )}
      <Fact name="Labels">
        {labels.map((label) => (
          <FilterValue key={label} term={{ ...either, kind: "label", query: label }}>
            {label}
          </FilterValue>
        ))}
      </Fact>
    </dl>
  );
}

export function Fact({ name, children }: { readonly name: string; readonly children: ReactNode }): ReactNode {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Neighbours({
  title,
  pairs,
  end,
}: {
  readonly title: string;
  readonly pairs: readonly Pair[];
  readonly end: "source" | "destination";
}): ReactNode {
  const { go, store } = usePage();
  if (pairs.length === 0) return null;
  const sorted = [...pairs].sort((left, right) => pairRate(right) - pairRate(left));
  return (
    <section>
      <h4>
        {title} <small>({pairs.length})</small>
      </h4>
      <ul className="neighbours">
        {sorted.map((pair) => (
          <li key={`${pair.source} ${pair.destination}`}>
            <button
              type="button"
              className="link"
              onClick={() => go({ selection: { kind: "pair", source: pair.source, destination: pair.destination } })}
            >
              <LineSample state={pairState(pair)} />
              <span className="grow">{store.services.get(pair[end])?.name ?? pair[end]}</span>
              <small>{pair.links.map(portText).slice(0, 3).join(", ")}</small>
              <small className={pairCounts(pair)[1] > 0 ? "dropped" : ""}>{rateText(pairRate(pair))}</small>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
