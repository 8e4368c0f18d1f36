import { type PolicyParty, type Refusal, refused } from "@cilium-ts/agent-api";
import { type EndpointRow, hostEndpointId } from "@cilium-ts/endpoint";
import { cidrLabels, identityScope, reservedIdentities, reservedIdentityByName, reservedName } from "@cilium-ts/identity";
import { Labels } from "@cilium-ts/labels";
import { type Family, parseAddress } from "@cilium-ts/net";
import type { NamedPort } from "@cilium-ts/policy";
import type { ExplainedParty, Party } from "@cilium-ts/policy-advice";

/** One end of a connection, as this node knows it. */
export interface NodeParty extends Party {
  readonly identity: number;
  /** Of this node, when the party is a workload here. */
  readonly row: EndpointRow | undefined;
  /** `namespace/name` of a pod of another node. The row, if there is one, is of a workload here with the same identity. */
  readonly remotePod?: string;
  /** Of a party outside of the cluster that was named by it. */
  readonly address?: string;
}

/** What is known of names, labels and addresses. */
export interface PartySources {
  endpoints(): Iterable<EndpointRow>;
  endpointsOf(party: Extract<PolicyParty, { kind: "endpoint" }>["id"]): readonly EndpointRow[];
  /** Of a pod of another node. */
  identityOfRemotePod(namespace: string, name: string): number | undefined;
  identities(): Iterable<{ readonly id: number; readonly labels: Labels }>;
  labelsOf(identity: number): Labels | undefined;
  identityOf(address: string): number;
  namedPortsOf(row: EndpointRow): readonly NamedPort[];
  /** Whether policy only audits the endpoint. */
  isAudited(row: EndpointRow): boolean;
}

/** Nodes have both. */
export const families: readonly Family[] = [4, 6];
/** Identities that a refusal lists. */
const listedMax = 10;

export function findParty(sources: PartySources, party: PolicyParty, what: string): NodeParty | Refusal<400 | 404> {
  switch (party.kind) {
    case "endpoint":
      return endpointParty(sources, sources.endpointsOf(party.id)[0]) ?? remoteParty(sources, party) ?? noEndpoint(party, what);
    case "identity":
      return identityParty(sources, party.id) ?? refused(404, `${what}: there is no identity ${party.id}`);
    case "name":
      return namedParty(sources, party.name, what);
    case "labels":
      return labelledParty(sources, party.labels, what);
    case "address": {
      const row = [...sources.endpoints()].find(({ ipv4, ipv6 }) => ipv4 === party.address || ipv6 === party.address);
      const found = endpointParty(sources, row) ?? outsideParty(identityParty(sources, sources.identityOf(party.address)), party.address);
      return found ?? refused(404, `${what}: nobody is known to have address ${party.address}`);
    }
  }
}

export function partyShape({ identity, labels, row, address, remotePod }: NodeParty): ExplainedParty {
  if (remotePod !== undefined) return { identity, labels: labels.format(), pod: remotePod };
  if (row === undefined) return { identity, labels: labels.format(), ...(address !== undefined && { address }) };
  const pod = row.id === hostEndpointId ? {} : { pod: `${row.podNamespace}/${row.podName}` };
  return { identity, labels: labels.format(), endpoint: row.id, ...pod };
}

function remoteParty(sources: PartySources, { id }: Extract<PolicyParty, { kind: "endpoint" }>): NodeParty | undefined {
  const identity = id.kind === "pod" ? sources.identityOfRemotePod(id.namespace, id.name) : undefined;
  const party = identity === undefined ? undefined : identityParty(sources, identity);
  if (party === undefined || id.kind !== "pod") return undefined;
  const remotePod = `${id.namespace}/${id.name}`;
  return { ...party, remotePod, text: remotePod };
}

function noEndpoint({ id }: Extract<PolicyParty, { kind: "endpoint" }>, what: string): Refusal<404> {
  const name = id.kind === "pod" ? `pod ${id.namespace}/${id.name}` : `endpoint ${Object.values(id).slice(1).join(":")}`;
  return refused(404, `${what}: there is no ${name}${id.kind === "pod" ? "" : " on this node"}`);
}

function namedParty(sources: PartySources, name: string, what: string): NodeParty | Refusal<404> {
  const reserved = reservedIdentityByName(name);
  const pods = [...sources.endpoints()].filter(({ podNamespace, podName }) => podNamespace === "default" && podName === name);
  const found = reserved === undefined ? endpointParty(sources, pods[0]) : identityParty(sources, reserved);
  return found ?? refused(404, `${what}: "${name}" is neither a reserved identity nor a pod of namespace default on this node`);
}

/** By labels as people write them: without a source, of any. */
function labelledParty(sources: PartySources, wanted: readonly string[], what: string): NodeParty | Refusal<400 | 404> {
  const matches = [...sources.identities()].filter(({ labels }) => {
    const texts = labels.format();
    return wanted.every((label) => texts.some((text) => text === label || text.slice(text.indexOf(":") + 1) === label));
  });
  const [first, second] = matches;
  if (first === undefined) return refused(404, `${what}: no identity has the labels ${wanted.join(",")}`);
  if (second !== undefined) {
    const shown = matches.slice(0, listedMax).map(({ id }) => id);
    const more = matches.length > shown.length ? ` and ${matches.length - shown.length} more` : "";
    return refused(
      400,
      `${what}: ${matches.length} identities have the labels ${wanted.join(",")}: ${shown.join(", ")}${more}; name one as identity:${first.id}`,
    );
  }
  return identityParty(sources, first.id) ?? refused(404, `${what}: identity ${first.id} has gone`);
}

function endpointParty(sources: PartySources, row: EndpointRow | undefined): NodeParty | undefined {
  if (row === undefined) return undefined;
  const labels = Labels.parse(row.labels);
  const isNode = row.id === hostEndpointId;
  return {
    identity: row.identity,
    labels,
    packetLabels: (isNode ? sources.labelsOf(row.identity) : undefined) ?? labels,
    namedPorts: sources.namedPortsOf(row),
    row,
    hasPolicy: true,
    text: isNode ? "reserved:host" : `${row.podNamespace}/${row.podName}`,
  };
}

/** A workload of this node stands for all that have its identity: only it says what its port names mean. */
function identityParty(sources: PartySources, identity: number): NodeParty | undefined {
  const row = [...sources.endpoints()].find((candidate) => candidate.identity === identity);
  if (row !== undefined) return endpointParty(sources, row);
  const labels = sources.labelsOf(identity);
  if (labels === undefined || identity === 0) return undefined;
  const reserved = reservedName(identity);
  const text = reserved === undefined ? `identity ${identity} (${labels.format().join(",")})` : `reserved:${reserved}`;
  return { identity, labels, packetLabels: labels, namedPorts: [], row: undefined, hasPolicy: identityScope(identity) === "cluster", text };
}

/** An address that only its prefix is known of is its own prefix to policies. */
function outsideParty(party: NodeParty | undefined, address: string): NodeParty | undefined {
  const bytes = parseAddress(address);
  if (party === undefined || bytes === undefined || !isOutside(party.identity)) return party;
  return { ...party, packetLabels: cidrLabels({ address: bytes, length: bytes.length * 8 }, families), address, text: address };
}

function isOutside(identity: number): boolean {
  const { world, worldIPv4, worldIPv6 } = reservedIdentities;
  return identityScope(identity) === "local" || [world, worldIPv4, worldIPv6].some((outside) => outside === identity);
}
