/** NetworkPolicy read off its description in the Kubernetes API, for tests to compare with: no parser or engine of ours takes part. */
export interface MatrixPod {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly namespaceLabels: Readonly<Record<string, string>>;
  readonly addresses: readonly string[];
  readonly named: ReadonlyArray<{ readonly name: string; readonly containerPort: number; readonly protocol: string }>;
}

export interface MatrixPolicy {
  readonly name: string;
  readonly namespace: string;
  readonly spec: PolicySpec;
}

interface PolicySpec {
  readonly podSelector?: LabelSelector;
  readonly policyTypes?: readonly string[];
  readonly ingress?: readonly PolicyRule[];
  readonly egress?: readonly PolicyRule[];
}

interface PolicyRule {
  readonly from?: readonly PolicyPeer[];
  readonly to?: readonly PolicyPeer[];
  readonly ports?: readonly PolicyPort[];
}

interface PolicyPeer {
  readonly podSelector?: LabelSelector;
  readonly namespaceSelector?: LabelSelector;
  readonly ipBlock?: object;
}

interface PolicyPort {
  readonly port?: number | string;
  readonly endPort?: number;
  readonly protocol?: string;
}

interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: ReadonlyArray<{ readonly key: string; readonly operator: string; readonly values?: readonly string[] }>;
}

/** Whether a connection from the one pod to the other is allowed on both sides. The same for both families. */
export function reaches(policies: readonly MatrixPolicy[], from: MatrixPod, to: MatrixPod, protocol: string, port: number): boolean {
  return allows(policies, "Egress", from, to, to, protocol, port) && allows(policies, "Ingress", to, from, to, protocol, port);
}

function allows(
  policies: readonly MatrixPolicy[],
  type: "Ingress" | "Egress",
  subject: MatrixPod,
  peer: MatrixPod,
  receiver: MatrixPod,
  protocol: string,
  port: number,
): boolean {
  const about = policies.filter(
    ({ namespace, spec }) => namespace === subject.namespace && selects(spec.podSelector, subject.labels) && typesOf(spec).includes(type),
  );
  if (about.length === 0) return true;
  return about.some(({ namespace, spec }) =>
    ((type === "Ingress" ? spec.ingress : spec.egress) ?? []).some((rule) => {
      const peers = (type === "Ingress" ? rule.from : rule.to) ?? [];
      const isPeer = peers.length === 0 || peers.some((one) => matchesPeer(one, peer, namespace));
      const isPort = (rule.ports ?? []).length === 0 || (rule.ports ?? []).some((one) => matchesPort(one, receiver, protocol, port));
      return isPeer && isPort;
    }),
  );
}

function typesOf({ policyTypes, egress }: PolicySpec): readonly string[] {
  return policyTypes ?? ["Ingress", ...(egress === undefined ? [] : ["Egress"])];
}

function matchesPeer({ podSelector, namespaceSelector, ipBlock }: PolicyPeer, pod: MatrixPod, namespace: string): boolean {
  // Addresses are those of the world; pods have labels.
  if (ipBlock !== undefined) return false;
  if (namespaceSelector === undefined) return pod.namespace === namespace && selects(podSelector, pod.labels);
  return selects(namespaceSelector, pod.namespaceLabels) && selects(podSelector, pod.labels);
}

function matchesPort(wanted: PolicyPort, receiver: MatrixPod, protocol: string, port: number): boolean {
  if ((wanted.protocol ?? "TCP") !== protocol) return false;
  if (wanted.port === undefined) return true;
  if (typeof wanted.port === "string")
    return receiver.named.some(
      ({ name, containerPort, protocol: own }) => name === wanted.port && containerPort === port && own === protocol,
    );
  return port >= wanted.port && port <= (wanted.endPort ?? wanted.port);
}

function selects(selector: LabelSelector | undefined, labels: Readonly<Record<string, string>>): boolean {
  const exact = Object.entries(selector?.matchLabels ?? {}).every(([key, value]) => labels[key] === value);
  return (
    exact &&
    (selector?.matchExpressions ?? []).every(({ key, operator, values = [] }) => {
      const value = labels[key];
      if (operator === "In") return value !== undefined && values.includes(value);
      if (operator === "NotIn") return value === undefined || !values.includes(value);
      return operator === "Exists" ? value !== undefined : value === undefined;
    })
  );
}
