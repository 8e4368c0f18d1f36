import type { ExplainedProtocol, PolicyExplanation } from "@cilium-ts/policy-advice";
import type { Refusal, Success } from "./answer.ts";
import type { EndpointId } from "./endpoint-id.ts";
import type { PolicyParty } from "./policy-party.ts";
import type {
  BPFMap,
  BPFMapList,
  ClusterNodeStatus,
  DaemonConfiguration,
  DebugInfo,
  DNSLookup,
  Endpoint,
  EndpointChangeRequest,
  EndpointConfigurationStatus,
  EndpointHealth,
  EndpointStatusChange,
  Identity,
  IdentityEndpoints,
  IPAMResponse,
  IPListEntry,
  LabelConfiguration,
  Labels,
  NameManager,
  NodeID,
  Policy,
  PolicyEnforcement,
  SelectorIdentityMapping,
  StatusResponse,
} from "./shapes.ts";

/**
 * What the agent does when its API is asked. The API has checked the form of every argument; the status codes are those that callers
 * know for the operation. What is thrown becomes a 500 with its message.
 *
 * The signal is aborted when the caller has gone away or the agent stops.
 */
export interface AgentOperations {
  health(request: { readonly brief: boolean; readonly requireKubernetes: boolean }, signal: AbortSignal): Promise<StatusResponse>;
  configuration(signal: AbortSignal): Promise<DaemonConfiguration>;
  /** Of what can be changed while the agent runs. */
  changeConfiguration(
    request: { readonly policyEnforcement: PolicyEnforcement },
    signal: AbortSignal,
  ): Promise<Success<200> | Refusal<400 | 403 | 500>>;
  /** Our own: policies of this node that are on trial stay. 404: none are; 501: nothing is ever tried. */
  confirmHostPolicies(signal: AbortSignal): Promise<Success<200> | Refusal<404 | 501>>;
  /** Every node that is known, this one among them. */
  clusterNodes(signal: AbortSignal): Promise<ClusterNodeStatus>;

  /** Both families when none is given. With `expiration` an address that no endpoint claims comes back by itself. */
  allocateAddresses(
    request: { readonly family: "ipv4" | "ipv6" | undefined; readonly owner: string; readonly pool: string; readonly expiration: boolean },
    signal: AbortSignal,
  ): Promise<Success<201, IPAMResponse> | Refusal<403 | 502>>;
  claimAddress(
    request: { readonly address: string; readonly owner: string; readonly pool: string },
    signal: AbortSignal,
  ): Promise<Success<200> | Refusal<400 | 403 | 409 | 500 | 501>>;
  releaseAddress(
    request: { readonly address: string; readonly pool: string },
    signal: AbortSignal,
  ): Promise<Success<200> | Refusal<400 | 403 | 404 | 500 | 501>>;

  /** Those that have all the labels. */
  endpoints(request: { readonly labels: Labels }, signal: AbortSignal): Promise<readonly Endpoint[]>;
  endpoint(id: EndpointId, signal: AbortSignal): Promise<Endpoint | undefined>;
  createEndpoint(
    id: EndpointId,
    request: EndpointChangeRequest,
    signal: AbortSignal,
  ): Promise<Success<201, Endpoint> | Refusal<400 | 403 | 409 | 500 | 503>>;
  /** 206: it is gone, and this many things went wrong on the way. */
  deleteEndpoint(id: EndpointId, signal: AbortSignal): Promise<Success<200> | Success<206, number> | Refusal<400 | 403 | 404 | 503>>;
  /** All endpoints of a container. */
  deleteEndpoints(
    request: { readonly containerId: string },
    signal: AbortSignal,
  ): Promise<Success<200> | Success<206, number> | Refusal<400 | 404 | 503>>;
  endpointHealth(id: EndpointId, signal: AbortSignal): Promise<EndpointHealth | undefined>;
  endpointConfiguration(id: EndpointId, signal: AbortSignal): Promise<EndpointConfigurationStatus | undefined>;
  endpointLog(id: EndpointId, signal: AbortSignal): Promise<readonly EndpointStatusChange[] | undefined>;
  endpointLabels(id: EndpointId, signal: AbortSignal): Promise<LabelConfiguration | undefined>;

  identities(request: { readonly labels: Labels }, signal: AbortSignal): Promise<readonly Identity[]>;
  identity(id: number, signal: AbortSignal): Promise<Identity | undefined>;
  identityEndpoints(signal: AbortSignal): Promise<readonly IdentityEndpoints[]>;

  /** Undefined when labels are given and no rule has them. */
  policy(request: { readonly labels: Labels }, signal: AbortSignal): Promise<Policy | undefined>;
  policySelectors(signal: AbortSignal): Promise<readonly SelectorIdentityMapping[]>;
  /** Our own: why the one may or may not talk to the other. 400: a party is not the only one of that name; 404: there is none. */
  explainPolicy(
    request: { readonly from: PolicyParty; readonly to: PolicyParty; readonly protocol: ExplainedProtocol; readonly port: number },
    signal: AbortSignal,
  ): Promise<Success<200, WrittenExplanation> | Refusal<400 | 404>>;

  /** Prefixes and their identities: those inside the CIDR, when one is given. Undefined when there is none. */
  addresses(
    request: { readonly cidr: string | undefined; readonly labels: Labels },
    signal: AbortSignal,
  ): Promise<readonly IPListEntry[] | undefined>;

  /** What endpoints have heard of names: of one endpoint, when it is named. Undefined: there is no such endpoint. */
  nameCache(
    request: {
      readonly endpoint: EndpointId | undefined;
      readonly pattern: string | undefined;
      readonly cidr: string | undefined;
      /** `lookup`, or `connection`: kept only because a connection uses it. */
      readonly source: string | undefined;
    },
    signal: AbortSignal,
  ): Promise<Success<200, readonly DNSLookup[]> | Refusal<400 | 404>>;
  /** Names that match the pattern; all, when there is none. */
  forgetNames(request: { readonly pattern: string | undefined }, signal: AbortSignal): Promise<Success<200> | Refusal<400>>;
  /** What rules ask for by name. */
  names(signal: AbortSignal): Promise<NameManager>;

  /** Numbers of other nodes in the datapath. */
  nodeIds(signal: AbortSignal): Promise<readonly NodeID[]>;
  /** All that helps to find out what is wrong, in one answer. */
  debugInformation(signal: AbortSignal): Promise<DebugInfo>;

  maps(signal: AbortSignal): Promise<BPFMapList>;
  map(name: string, signal: AbortSignal): Promise<BPFMap | undefined>;

  /** Our own: a call of the CNI plugin and its result, neither of which this package looks into. */
  cni(request: unknown, signal: AbortSignal): Promise<{ readonly status: number; readonly body: unknown }>;
}

/** Why two parties may or may not talk; a policy that would help is an object to apply. Our own: other agents have no such operation. */
export type WrittenExplanation = PolicyExplanation<Readonly<Record<string, unknown>>>;
