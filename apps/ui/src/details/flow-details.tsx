import type { FilterTerm, FlowEnd, SeenFlow, TermSide } from "@cilium-ts/service-map/view";
import { type ReactNode, useEffect, useState } from "react";
import { clockTime, endName, policyNameOf, reasonOf, summaryOf } from "../flows/columns.ts";
import { usePage } from "../state/page.tsx";
import { useAnswer } from "../state/use-answer.ts";
import { FilterValue } from "./filter-value.tsx";
import { Fact } from "./service-details.tsx";
import { Why } from "./why.tsx";

/** A flow: what it came to and why, its ends, and every field that Hubble has. */
export function FlowDetails({ uuid, timeMs }: { readonly uuid: string; readonly timeMs: number }): ReactNode {
  const { store } = usePage();
  // The one that was clicked stays, also when the table has forgotten it.
  const [flow, setFlow] = useState<SeenFlow | undefined>(() => store.flows.find((candidate) => candidate.uuid === uuid));
  useEffect(() => {
    if (flow !== undefined) return;
    return store.subscribe(() => setFlow(store.flows.find((candidate) => candidate.uuid === uuid)));
  }, [flow, store, uuid]);
  return (
    <>
      {flow !== undefined && <KnownFlow flow={flow} />}
      <Why uuid={uuid} timeMs={timeMs} />
      <AllFields uuid={uuid} timeMs={timeMs} />
    </>
  );
}

function KnownFlow({ flow }: { readonly flow: SeenFlow }): ReactNode {
  const { timeMs, verdict, verdictName, source, destination, direction, isReply, node, tcpFlags, policies, protocol, dropReason } = flow;
  const { authentication, isEncrypted } = flow;
  const reason = reasonOf(flow);
  return (
    <>
      <h3>
        <span className={`verdict ${verdict}`}>{verdictName.toLowerCase()}</span> {endName(source)} → {endName(destination)}
        {destination.port > 0 && `:${destination.port}`}
      </h3>
      <dl>
        {reason !== "" && <Fact name="Why">{reason}</Fact>}
        {dropReason !== "" && (
          <Fact name="Drop reason">
            <FilterValue term={flowTerm("drop-reason", dropReason)}>{dropReason}</FilterValue>
          </Fact>
        )}
        {policies.length > 0 && (
          <Fact name="Policies">
            {policies.map((policy) => (
              <FilterValue
                key={`${policy.effect} ${policy.direction} ${policyNameOf(policy)}`}
                term={flowTerm("policy-name", policyNameOf(policy))}
              >
                {policy.effect} by {policyNameOf(policy)}
              </FilterValue>
            ))}
          </Fact>
        )}
        <Fact name="Time">
          {new Date(timeMs).toLocaleDateString()} {clockTime(timeMs)}
        </Fact>
        <Fact name="Summary">{summaryOf(flow)}</Fact>
        <Fact name="Direction">
          {direction === "" ? "unknown" : <FilterValue term={flowTerm("direction", direction)}>{direction}</FilterValue>}
          {isReply === undefined ? "" : isReply ? "reply" : "request"}
        </Fact>
        <Fact name="Protocol">
          <FilterValue term={flowTerm("protocol", protocol)}>{protocol}</FilterValue>
        </Fact>
        {authentication !== "" && <Fact name="Authentication">{authentication}</Fact>}
        {isEncrypted && <Fact name="Encrypted">yes</Fact>}
        {tcpFlags.length > 0 && (
          <Fact name="TCP flags">
            {tcpFlags.map((flag) => (
              <FilterValue key={flag} term={flowTerm("tcp-flag", flag)}>
                {flag}
              </FilterValue>
            ))}
          </Fact>
        )}
        <Fact name="Node">
          <FilterValue term={flowTerm("node-name", node)}>{node}</FilterValue>
        </Fact>
      </dl>
      <End title="Source" side="from" end={source} />
      <End title="Destination" side="to" end={destination} />
    </>
  );
}

function flowTerm(kind: FilterTerm["kind"], query: string): FilterTerm {
  return { isNegative: false, side: "either", kind, query };
}

function End({ title, side, end }: { readonly title: string; readonly side: TermSide; readonly end: FlowEnd }): ReactNode {
  const term = (kind: FilterTerm["kind"], query: string): FilterTerm => ({ isNegative: false, side, kind, query });
  const { pod, namespace, identity, ip, port, labels, names, workloads, service } = end;
  return (
    <section>
      <h4>{title}</h4>
      <dl>
        {pod !== "" && (
          <Fact name="Pod">
            <FilterValue term={term("pod", `${namespace}/${pod}`)}>
              {namespace}/{pod}
            </FilterValue>
          </Fact>
        )}
        {namespace !== "" && (
          <Fact name="Namespace">
            <FilterValue term={term("namespace", namespace)}>{namespace}</FilterValue>
          </Fact>
        )}
        {identity > 0 && (
          <Fact name="Identity">
            <FilterValue term={term("identity", String(identity))}>{identity}</FilterValue>
          </Fact>
        )}
        {ip !== "" && (
          <Fact name="Address">
            <FilterValue term={term("ip", ip)}>{ip}</FilterValue>
          </Fact>
        )}
        {port > 0 && (
          <Fact name="Port">
            <FilterValue term={term("port", String(port))}>{port}</FilterValue>
          </Fact>
        )}
        {service !== "" && (
          <Fact name="Service">
            <FilterValue term={term("service-name", service)}>{service}</FilterValue>
          </Fact>
        )}
        {workloads.length > 0 && (
          <Fact name="Workloads">
            {workloads.map(({ kind, name }) => (
              <FilterValue key={`${kind}/${name}`} term={term("workload", `${kind}/${name}`)}>
                {kind}/{name}
              </FilterValue>
            ))}
          </Fact>
        )}
        {names.length > 0 && (
          <Fact name="DNS names">
            {names.map((name) => (
              <FilterValue key={name} term={term("dns", name)}>
                {name}
              </FilterValue>
            ))}
          </Fact>
        )}
        <Fact name="Labels">
          {labels.map((label) => (
            <FilterValue key={label} term={term("label", label)}>
              {label}
            </FilterValue>
          ))}
        </Fact>
      </dl>
    </section>
  );
}

function AllFields({ uuid, timeMs }: { readonly uuid: string; readonly timeMs: number }): ReactNode {
  const fields = useAnswer<unknown>(`api/flow?${new URLSearchParams({ uuid, time: String(timeMs) })}`);
  return (
    <details>
      <summary>Every field</summary>
      {fields.kind === "waiting" && <p className="muted">Asking Hubble…</p>}
      {fields.kind === "problem" && <p className="problem">{fields.problem}</p>}
      {fields.kind === "answer" && <pre tabIndex={0}>{JSON.stringify(fields.value, undefined, 2)}</pre>}
    </details>
  );
}
