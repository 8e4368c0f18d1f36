import { cidrLabels } from "@cilium-ts/identity";
import {
  ciliumPolicyFromRule,
  type KubernetesClient,
  type KubernetesObject,
  type PolicyCluster,
  parseManifests,
  parsePolicyObject,
  policyKinds,
  policyWorldOf,
  policyWorldWith,
  readPolicyCluster,
} from "@cilium-ts/kubernetes";
import type { ObjectChecker } from "@cilium-ts/kubernetes-server/check";
import { Labels } from "@cilium-ts/labels";
import { parseAddress } from "@cilium-ts/net";
import { type flowpb, observationOf } from "@cilium-ts/observer";
import { type CidrGroup, type PolicyWorld, type Rule, selects } from "@cilium-ts/policy";
import {
  type ExplainedProtocol,
  explainConnection,
  explainedProtocols,
  explanationLines,
  lintPolicies,
  type Party,
  PolicySuggestions,
  remediesOf,
  WhatIf,
  type WhatIfReport,
  withRemedyAs,
} from "@cilium-ts/policy-advice";
import type { FlowEnd, PolicyProblem, PolicySchema, PolicySummary, PolicyText, SeenFlow, Why } from "@cilium-ts/service-map";
import type { Clock } from "@cilium-ts/std";
import { stringify } from "yaml";
import type { AllowedNamespaces } from "../views/views.ts";
import type { PolicyHits } from "./policy-hits.ts";

export interface PolicyDeskOptions {
  readonly clock: Clock;
  readonly client: KubernetesClient;
  readonly hits: PolicyHits;
  /** What the API server would say. */
  readonly checkObject: ObjectChecker;
  /** By what it judges. */
  readonly schemas: readonly PolicySchema[];
  /** Where Cilium's settings are. */
  readonly ciliumNamespace: string;
}

/** What is asked for cannot be: said to whoever asked. */
export class PolicyRefusal extends Error {
  override readonly name = "PolicyRefusal";
}

/** Reading a cluster takes some lists; those who ask at about the same time share them, so no one of them ends the reading. */
const clusterAgeMs = 3_000;
const readTimeoutMs = 20_000;
const problemsMax = 200;
const selectedNamesMax = 10;
const textLengthMax = 1_000_000;

/** What the page can be told about policies. Reads the cluster, and changes nothing in it. */
export class PolicyDesk {
  readonly #options: PolicyDeskOptions;
  #cluster: { readonly readMs: number; readonly promise: Promise<PolicyCluster> } | undefined;

  constructor(options: PolicyDeskOptions) {
    this.#options = options;
  }

  /** By which policies are written. */
  get schemas(): readonly PolicySchema[] {
    return this.#options.schemas;
  }

  /** All that the user may see: those of the user's namespaces, and those of the whole cluster for who sees all of it. */
  async list(allowed: AllowedNamespaces): Promise<readonly PolicySummary[]> {
    const { policies, invalid, pods } = await this.#read();
    const summaries: PolicySummary[] = [];
    for (const [key, rules] of policies) {
      const selected = pods.filter(({ labels }) => rules.some((rule) => selects(rule, labels)));
      summaries.push({
        ...namesIn(key),
        key,
        problems: [],
        selectedCount: selected.length,
        selected: selected.slice(0, selectedNamesMax).map(({ namespace, name }) => `${namespace}/${name}`),
        ...this.#options.hits.of(key),
      });
    }
    for (const { key, problems } of invalid) {
      const texts = problems.map(({ path, message }) => (path === "" ? message : `${path}: ${message}`));
      summaries.push({ ...namesIn(key), key, problems: texts, selectedCount: 0, selected: [], allowed: 0, denied: 0 });
    }
    return summaries.filter(({ namespace }) => mayRead(namespace, allowed)).sort((left, right) => (left.key < right.key ? -1 : 1));
  }

  /** The object as people write it; undefined when there is none. */
  async text(key: string, allowed: AllowedNamespaces, signal: AbortSignal): Promise<PolicyText | undefined> {
    const { kind, namespace, name } = namesIn(key);
    const known = policyKinds.find(({ resource }) => resource.kind === kind);
    if (known === undefined || name === "" || !mayRead(namespace, allowed)) return undefined;
    const object = await this.#options.client.get(known.resource, { namespace, name }, { signal });
    if (object === undefined) return undefined;
    return { key, yaml: stringify(asWritten(object), { lineWidth: 0 }), generation: object.metadata.generation ?? 0 };
  }

  /** What is wrong with policies that are not applied yet, and what is surely not meant. */
  async check(yaml: string, allowed: AllowedNamespaces): Promise<readonly PolicyProblem[]> {
    const cluster = await this.#read();
    const { problems, policies } = readPolicies(yaml, cluster.settings.clusterName, this.#options.checkObject);
    if (problems.some(({ severity }) => severity === "error")) return problems.slice(0, problemsMax);
    const others = [...cluster.policies].filter(([key]) => !policies.has(key) && bearsOn(key, allowed)).flatMap(([, rules]) => rules);
    const findings = lintPolicies(
      [...policies.values()].flatMap(({ rules }) => rules),
      // What pods there are would be told by guessing to who may not see them all.
      { rules: others, podCidrs: cluster.podCidrs, ...(allowed === undefined && { cluster }) },
    );
    const warnings = findings.map(({ policy, path, message }): PolicyProblem => {
      const place = policies.get([policy.kind, policy.namespace, policy.name].filter((part) => part !== "").join("/"))?.placeOf(path) ?? {
        line: 1,
        column: 1,
      };
      return { severity: "warning", ...place, path, message };
    });
    return [...problems, ...warnings].slice(0, problemsMax);
  }

  /** Which of the recorded flows would get another verdict. Throws a PolicyRefusal for policies that are not valid. */
  async whatIf(
    { yaml, deleted, allowed }: { readonly yaml: string; readonly deleted: readonly string[]; readonly allowed: AllowedNamespaces },
    flows: AsyncIterable<readonly flowpb.Flow[]>,
  ): Promise<WhatIfReport> {
    const hidden = deleted.find((key) => !mayRead(namesIn(key).namespace, allowed));
    if (hidden !== undefined) throw new PolicyRefusal(`there is no policy ${hidden} that you may see`);
    const cluster = await this.#read();
    const before = policyWorldOf(cluster);
    const whatIf = new WhatIf({ before, after: changedWorld(cluster, yaml, deleted, this.#options.checkObject) });
    for await (const batch of flows) for (const flow of batch) whatIf.add(observationOf(flow));
    return whatIf.report();
  }

  /** Policies that allow what the pods of a namespace were seen to do, and nothing else. */
  async suggest(
    namespace: string,
    flows: AsyncIterable<readonly flowpb.Flow[]>,
  ): Promise<{ readonly yaml: string; readonly notes: readonly string[] }> {
    const { pods } = await this.#read();
    const suggestions = new PolicySuggestions({ namespace, worldAddressesMax: 16, knownPods: pods.map(({ labels }) => labels) });
    for await (const batch of flows) for (const flow of batch) suggestions.add(observationOf(flow));
    const { rules, flows: used, notUsed, notes } = suggestions.suggestion();
    const skipped = notUsed.map(({ reason, count }) => `${count} flows not used: ${reason}`);
    const yaml = rules.map((rule) => stringify(ciliumPolicyFromRule(rule), { lineWidth: 0 })).join("---\n");
    return { yaml, notes: [`${rules.length} policies from ${used} flows`, ...skipped, ...notes] };
  }

  /** Which rules decide about a flow by the policies of now, and for a drop the smallest policy that would allow it. */
  async why(flow: SeenFlow): Promise<Why> {
    const protocol = protocolOf(flow);
    if (protocol === undefined) throw new PolicyRefusal(`policies say nothing about ${flow.protocol}`);
    const cluster = await this.#read();
    const [source, destination] = flow.isReply === true ? [flow.destination, flow.source] : [flow.source, flow.destination];
    const [from, to] = [partyOf(cluster, source), partyOf(cluster, destination)];
    const { verdict, egress, ingress } = explainConnection({ from, to, protocol, port: destination.port }, policyWorldOf(cluster));
    const shapes = { from: shapeOf(source), to: shapeOf(destination) };
    const explanation = {
      ...shapes,
      protocol,
      port: destination.port,
      verdict,
      egress: withRemedyAs(egress, ciliumPolicyFromRule),
      ingress: withRemedyAs(ingress, ciliumPolicyFromRule),
    };
    const remedies = remediesOf(explanation);
    return {
      verdict,
      lines: explanationLines(explanation, (remedy) => stringify(remedy, { lineWidth: 0 }).trimEnd().split("\n")),
      policies: [...egress.rules, ...ingress.rules].map(({ kind, namespace, name, path }) => ({ kind, namespace, name, path })),
      remedy: typeof remedies === "string" ? "" : remedies.map((remedy) => stringify(remedy, { lineWidth: 0 })).join("---\n"),
    };
  }

  #read(): Promise<PolicyCluster> {
    const nowMs = this.#options.clock.nowMs();
    if (this.#cluster === undefined || this.#cluster.readMs + clusterAgeMs < nowMs) {
      const { client, ciliumNamespace } = this.#options;
      const promise = readPolicyCluster(client, { namespace: ciliumNamespace, signal: AbortSignal.timeout(readTimeoutMs) });
      this.#cluster = { readMs: nowMs, promise };
      promise.catch(() => {
        this.#cluster = undefined;
      });
    }
    return this.#cluster.promise;
  }
}

/** Without what the API server and kubectl add. */
function asWritten(object: KubernetesObject): object {
  const { status: _status, ...rest } = object as KubernetesObject & { readonly status?: unknown };
  const { name, namespace, labels, annotations = {} } = rest.metadata;
  const { "kubectl.kubernetes.io/last-applied-configuration": _applied, ...written } = annotations;
  const metadata = {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(labels === undefined ? {} : { labels }),
    ...(Object.keys(written).length === 0 ? {} : { annotations: written }),
  };
  return { ...rest, metadata };
}

function mayRead(namespace: string, allowed: AllowedNamespaces): boolean {
  return allowed === undefined || allowed.has(namespace);
}

/** Policies of the whole cluster bear on everybody's, although not everybody may read them. */
function bearsOn(key: string, allowed: AllowedNamespaces): boolean {
  const { namespace } = namesIn(key);
  return namespace === "" || mayRead(namespace, allowed);
}

function namesIn(key: string): { readonly kind: string; readonly namespace: string; readonly name: string } {
  const [kind = "", first = "", second] = key.split("/");
  return second === undefined ? { kind, namespace: "", name: first } : { kind, namespace: first, name: second };
}

interface ReadPolicy {
  readonly rules: readonly Rule[];
  placeOf(path: string): { readonly line: number; readonly column: number };
}

interface ReadPolicies {
  readonly policies: ReadonlyMap<string, ReadPolicy>;
  readonly cidrGroups: readonly CidrGroup[];
  readonly problems: readonly PolicyProblem[];
}

function readPolicies(yaml: string, clusterName: string, checkObject: ObjectChecker): ReadPolicies {
  if (yaml.length > textLengthMax) throw new PolicyRefusal(`the text has more than ${textLengthMax} characters`);
  const manifests = parseManifests(yaml);
  const problems: PolicyProblem[] = manifests.problems.map((problem) => ({ severity: "error", path: "", ...problem }));
  const policies = new Map<string, ReadPolicy>();
  const cidrGroups: CidrGroup[] = [];
  for (const { object, placeOf } of manifests.objects) {
    const tell = (told: ReadonlyArray<{ readonly path: string; readonly message: string }>): void =>
      void problems.push(...told.map(({ path, message }): PolicyProblem => ({ severity: "error", ...placeOf(path), path, message })));
    const rejected = checkObject(object) ?? [];
    tell(rejected);
    const isSaid = new Set(rejected.map(({ path }) => path));
    const parsed = parsePolicyObject({ object }, clusterName);
    tell(parsed.problems.filter(({ path }) => !isSaid.has(path)));
    if ("rules" in parsed) policies.set(parsed.key, { rules: parsed.rules, placeOf });
    else if ("group" in parsed) cidrGroups.push(...(parsed.group === undefined ? [] : [parsed.group]));
    else {
      const { kind } = (object ?? {}) as { readonly kind?: unknown };
      problems.push({
        severity: "warning",
        ...placeOf(""),
        path: "kind",
        message: `${String(kind)} is no kind of policy, and is left aside`,
      });
    }
  }
  return { policies, cidrGroups, problems };
}

function changedWorld(cluster: PolicyCluster, yaml: string, deleted: readonly string[], checkObject: ObjectChecker): PolicyWorld {
  const { policies: written, cidrGroups, problems } = readPolicies(yaml, cluster.settings.clusterName, checkObject);
  const wrong = problems.find(({ severity }) => severity === "error");
  if (wrong !== undefined) throw new PolicyRefusal(`line ${wrong.line}: ${wrong.path === "" ? "" : `${wrong.path}: `}${wrong.message}`);
  const policies = new Map(cluster.policies);
  for (const key of deleted) if (!policies.delete(key)) throw new PolicyRefusal(`there is no policy ${key} in the cluster`);
  return policyWorldWith({ ...cluster, policies }, { policies: new Map([...written].map(([key, { rules }]) => [key, rules])), cidrGroups });
}

function partyOf({ pods, settings }: PolicyCluster, end: FlowEnd): Party {
  const pod = pods.find(({ namespace, name }) => namespace === end.namespace && name === end.pod);
  const labels = pod?.labels ?? Labels.parse([...end.labels]);
  const address = pod === undefined && end.labels.some((label) => label.startsWith("reserved:world")) ? parseAddress(end.ip) : undefined;
  const packetLabels = address === undefined ? labels : cidrLabels({ address, length: address.length * 8 }, settings.families);
  return {
    labels,
    packetLabels,
    namedPorts: pod?.namedPorts ?? [],
    hasPolicy: end.pod !== "",
    text: end.pod === "" ? (end.labels.find((label) => label.startsWith("reserved:")) ?? end.ip) : `${end.namespace}/${end.pod}`,
  };
}

function shapeOf({ identity, labels, pod, namespace, ip }: FlowEnd) {
  return { identity, labels, ...(pod === "" ? { address: ip } : { pod: `${namespace}/${pod}` }) };
}

function protocolOf({ protocol }: SeenFlow): ExplainedProtocol | undefined {
  return explainedProtocols.find((name) => name === (protocol === "ICMPv4" ? "ICMP" : protocol));
}
