/**
 * The agent's API as it travels: field names and types as the agents and clients in use have them. Every field that is not marked as
 * required there is optional here, and fields of features that do not exist yet are left out.
 */

export const endpointStates = [
  "waiting-for-identity",
  "not-ready",
  "waiting-to-regenerate",
  "regenerating",
  "restoring",
  "ready",
  "disconnecting",
  "disconnected",
  "invalid",
] as const;

export type EndpointState = (typeof endpointStates)[number];
export type EndpointHealthStatus = "OK" | "Bootstrap" | "Pending" | "Warning" | "Failure" | "Disabled";
export type EndpointPolicyEnabled = "none" | "ingress" | "egress" | "both" | "audit-ingress" | "audit-egress" | "audit-both";
export type State = "Ok" | "Warning" | "Failure" | "Disabled";
/** `source:key=value` each. */
export type Labels = readonly string[];
export type ConfigurationMap = Readonly<Record<string, string>>;

export interface AddressPair {
  readonly ipv4?: string;
  readonly "ipv4-expiration-uuid"?: string;
  readonly "ipv4-pool-name"?: string;
  readonly ipv6?: string;
  readonly "ipv6-expiration-uuid"?: string;
  readonly "ipv6-pool-name"?: string;
}

export interface NodeAddressingElement {
  readonly enabled?: boolean;
  readonly ip?: string;
  readonly "alloc-range"?: string;
  readonly "address-type"?: string;
}

export interface NodeAddressing {
  readonly ipv4?: NodeAddressingElement;
  readonly ipv6?: NodeAddressingElement;
}

export interface Endpoint {
  readonly id?: number;
  readonly spec?: EndpointConfigurationSpec;
  readonly status?: EndpointStatus;
}

export interface EndpointConfigurationSpec {
  readonly options?: ConfigurationMap;
  readonly "label-configuration"?: LabelConfigurationSpec;
}

export interface EndpointConfigurationStatus {
  readonly realized?: EndpointConfigurationSpec;
  readonly immutable?: ConfigurationMap;
  readonly error?: string;
}

export interface NodeID {
  readonly id: number;
  readonly ips: readonly string[];
}

export interface DebugInfo {
  readonly "cilium-version"?: string;
  readonly "kernel-version"?: string;
  readonly "cilium-status"?: StatusResponse;
  readonly "endpoint-list"?: readonly Endpoint[];
  readonly policy?: Policy;
  /** Texts by the part of the agent that they are of. */
  readonly subsystem?: Readonly<Record<string, string>>;
}

export interface EndpointStatus {
  readonly "external-identifiers"?: EndpointIdentifiers;
  readonly identity?: Identity;
  readonly labels?: LabelConfigurationStatus;
  readonly realized?: EndpointConfigurationSpec;
  readonly networking?: EndpointNetworking;
  readonly policy?: EndpointPolicyStatus;
  readonly log?: readonly EndpointStatusChange[];
  readonly controllers?: readonly ControllerStatus[];
  readonly state: EndpointState;
  readonly health?: EndpointHealth;
  readonly namedPorts?: readonly Port[];
}

export interface EndpointIdentifiers {
  readonly "cni-attachment-id"?: string;
  readonly "container-id"?: string;
  readonly "container-name"?: string;
  readonly "pod-name"?: string;
  readonly "k8s-pod-name"?: string;
  readonly "k8s-namespace"?: string;
}

export interface EndpointNetworking {
  readonly addressing?: readonly AddressPair[];
  readonly "host-addressing"?: NodeAddressing;
  readonly "host-mac"?: string;
  readonly mac?: string;
  readonly "interface-name"?: string;
  readonly "interface-index"?: number;
  readonly "container-interface-name"?: string;
}

export interface EndpointHealth {
  readonly overallHealth?: EndpointHealthStatus;
  readonly bpf?: EndpointHealthStatus;
  readonly policy?: EndpointHealthStatus;
  readonly connected?: boolean;
}

export interface EndpointStatusChange {
  /** RFC 3339. */
  readonly timestamp?: string;
  readonly code?: "ok" | "failed";
  readonly message?: string;
  readonly state?: EndpointState;
}

export interface EndpointPolicyStatus {
  readonly spec?: EndpointPolicy;
  readonly realized?: EndpointPolicy;
  readonly "proxy-policy-revision"?: number;
  readonly "proxy-statistics"?: readonly ProxyStatistics[];
}

export interface ProxyStatistics {
  /** Of layer 7: `http`, `dns`. */
  readonly protocol?: string;
  readonly port?: number;
  readonly "allocated-proxy-port"?: number;
  readonly location?: "ingress" | "egress";
  readonly statistics?: { readonly requests?: MessageForwardingStatistics; readonly responses?: MessageForwardingStatistics };
}

export interface MessageForwardingStatistics {
  readonly received?: number;
  readonly forwarded?: number;
  readonly denied?: number;
  readonly error?: number;
}

export interface EndpointPolicy {
  readonly "policy-revision"?: number;
  /** The identity that the policy is for. */
  readonly id?: number;
  readonly "policy-enabled"?: EndpointPolicyEnabled;
  readonly build?: number;
  readonly "allowed-ingress-identities"?: readonly number[];
  readonly "denied-ingress-identities"?: readonly number[];
  readonly "allowed-egress-identities"?: readonly number[];
  readonly "denied-egress-identities"?: readonly number[];
  readonly l4?: L4Policy;
}

export interface L4Policy {
  readonly ingress?: readonly PolicyRule[];
  readonly egress?: readonly PolicyRule[];
}

export interface PolicyRule {
  readonly rule?: string;
  readonly "derived-from-rules"?: readonly Labels[];
  readonly "rules-by-selector"?: Readonly<Record<string, readonly Labels[]>>;
}

export interface Port {
  readonly protocol?: "TCP" | "UDP" | "SCTP" | "ICMP" | "ICMPV6" | "ANY";
  readonly port?: number;
  readonly name?: string;
}

export interface EndpointChangeRequest {
  readonly id?: number;
  readonly "container-id"?: string;
  readonly "container-name"?: string;
  readonly labels?: Labels;
  readonly "interface-name"?: string;
  readonly "interface-index"?: number;
  readonly "parent-interface-index"?: number;
  readonly "container-interface-name"?: string;
  readonly state: EndpointState;
  readonly mac?: string;
  readonly "host-mac"?: string;
  readonly addressing?: AddressPair;
  readonly "k8s-pod-name"?: string;
  readonly "k8s-namespace"?: string;
  readonly "k8s-uid"?: string;
  readonly "policy-enabled"?: boolean;
  readonly pid?: number;
  /** Answer only when its policy is enforced. */
  readonly "sync-build-endpoint"?: boolean;
  readonly "netns-cookie"?: string;
  readonly "datapath-configuration"?: EndpointDatapathConfiguration;
}

export interface EndpointDatapathConfiguration {
  readonly "require-arp-passthrough"?: boolean;
  readonly "require-egress-prog"?: boolean;
  readonly "external-ipam"?: boolean;
  readonly "require-routing"?: boolean;
  readonly "install-endpoint-route"?: boolean;
  readonly "disable-sip-verification"?: boolean;
}

export interface EndpointBatchDeleteRequest {
  readonly "container-id"?: string;
}

export interface LabelConfiguration {
  readonly spec?: LabelConfigurationSpec;
  readonly status?: LabelConfigurationStatus;
}

export interface LabelConfigurationSpec {
  readonly user?: Labels;
}

export interface LabelConfigurationStatus {
  readonly realized?: LabelConfigurationSpec;
  readonly "security-relevant"?: Labels;
  readonly derived?: Labels;
  readonly disabled?: Labels;
}

export interface Identity {
  readonly id?: number;
  readonly labels?: Labels;
  readonly labelsSHA256?: string;
}

export interface IdentityEndpoints {
  readonly identity?: Identity;
  readonly refCount?: number;
}

export interface IPAMResponse {
  readonly address: AddressPair;
  readonly ipv4?: IPAMAddressResponse;
  readonly ipv6?: IPAMAddressResponse;
  readonly "host-addressing": NodeAddressing;
}

export interface IPAMAddressResponse {
  readonly ip?: string;
  readonly gateway?: string;
  readonly cidrs?: readonly string[];
  readonly "master-mac"?: string;
  readonly "expiration-uuid"?: string;
  readonly "interface-number"?: string;
}

export interface Policy {
  readonly revision?: number;
  /** JSON of the rules, as text. */
  readonly policy?: string;
}

export interface SelectorIdentityMapping {
  readonly selector?: string;
  readonly labels?: readonly Label[];
  readonly identities?: readonly number[];
  readonly users?: number;
}

export interface Label {
  readonly key?: string;
  readonly value?: string;
  readonly source?: string;
}

/** A name that an endpoint has looked up. */
export interface DNSLookup {
  /** With the dot at the end. */
  readonly fqdn?: string;
  readonly ips?: readonly string[];
  /** Seconds. */
  readonly ttl?: number;
  readonly "lookup-time"?: string;
  readonly "expiration-time"?: string;
  readonly "endpoint-id"?: number;
  readonly source?: string;
}

export interface NameManager {
  readonly DNSPollNames?: readonly string[];
  readonly FQDNPolicySelectors?: readonly SelectorEntry[];
}

export interface SelectorEntry {
  readonly selectorString?: string;
  readonly regexString?: string;
}

export interface IPListEntry {
  readonly cidr: string;
  readonly identity: number;
  readonly hostIP?: string;
  readonly encryptKey?: number;
  readonly metadata?: IPListEntryMetadata;
}

export interface IPListEntryMetadata {
  readonly source?: string;
  readonly namespace?: string;
  readonly name?: string;
}

export interface BPFMapList {
  readonly maps?: readonly BPFMap[];
}

export interface BPFMap {
  readonly path?: string;
  readonly cache?: readonly BPFMapEntry[];
}

export interface BPFMapEntry {
  readonly key?: string;
  readonly value?: string;
  readonly "desired-action"?: "ok" | "insert" | "delete";
  readonly "last-error"?: string;
}

export interface Status {
  readonly state?: State;
  readonly msg?: string;
}

export interface HostFirewallStatus {
  readonly mode?: "Disabled" | "Enabled";
  readonly devices?: readonly string[];
  /** Our own: policies of the node that cut something off. Times as in JSON objects of Kubernetes. */
  readonly trial?:
    | { readonly state: "tried"; readonly until: string; readonly lost: readonly string[] }
    | { readonly state: "reverted"; readonly at: string; readonly reason: string };
}

export interface StatusResponse {
  readonly cilium?: Status;
  readonly kvstore?: Status;
  readonly "cni-file"?: Status;
  readonly "container-runtime"?: Status;
  readonly hubble?: HubbleStatus;
  readonly kubernetes?: K8sStatus;
  readonly "host-firewall"?: HostFirewallStatus;
  readonly "datapath-mode"?: "veth" | "netkit" | "netkit-l2";
  readonly "attach-mode"?: "tc" | "tcx";
  readonly ipam?: IPAMStatus;
  readonly nodeMonitor?: MonitorStatus;
  readonly cluster?: ClusterStatus;
  readonly controllers?: readonly ControllerStatus[];
  readonly "identity-range"?: IdentityRange;
  readonly "bpf-maps"?: BPFMapStatus;
  readonly proxy?: ProxyStatus;
  readonly stale?: Readonly<Record<string, string>>;
  readonly "client-id"?: number;
}

export interface ProxyStatus {
  /** The address by which the node's proxies speak to pods of other nodes. */
  readonly ip?: string;
  /** `10000-20000`. */
  readonly "port-range"?: string;
  readonly "total-redirects"?: number;
  readonly "total-ports"?: number;
  /** Named `ENDPOINT:DIRECTION:PROTOCOL:PORT:`. */
  readonly redirects?: ReadonlyArray<{ readonly name?: string; readonly proxy?: string; readonly "proxy-port"?: number }>;
}

export interface HubbleStatus extends Status {
  readonly observer?: {
    readonly "max-flows"?: number;
    readonly "current-flows"?: number;
    readonly "seen-flows"?: number;
    /** `1h2m3.5s`. */
    readonly uptime?: string;
  };
}

export interface K8sStatus extends Status {
  readonly "k8s-api-versions"?: readonly string[];
}

export interface IPAMStatus {
  /** Owner by address. */
  readonly allocations?: Readonly<Record<string, string>>;
  readonly ipv4?: readonly string[];
  readonly ipv6?: readonly string[];
  readonly status?: string;
}

export interface MonitorStatus {
  readonly cpus?: number;
  readonly npages?: number;
  readonly pagesize?: number;
  readonly lost?: number;
  readonly unknown?: number;
}

export interface ClusterStatus {
  readonly ciliumHealth?: Status;
  readonly self?: string;
}

export interface ClusterNodeStatus {
  /** `cluster/name` of this node. */
  readonly self?: string;
  readonly "nodes-added"?: readonly NodeElement[];
  readonly "nodes-removed"?: readonly NodeElement[];
  readonly "client-id"?: number;
}

export interface NodeElement {
  /** `cluster/name` */
  readonly name?: string;
  readonly "primary-address"?: NodeAddressing;
  readonly "secondary-addresses"?: readonly NodeAddressingElement[];
  readonly "health-endpoint-address"?: NodeAddressing;
  readonly "ingress-address"?: NodeAddressing;
  readonly source?: string;
}

export interface ControllerStatus {
  readonly name?: string;
  readonly uuid?: string;
  readonly status?: {
    readonly "success-count"?: number;
    readonly "last-success-timestamp"?: string;
    readonly "failure-count"?: number;
    readonly "last-failure-timestamp"?: string;
    readonly "consecutive-failure-count"?: number;
    readonly "last-failure-msg"?: string;
  };
}

export interface IdentityRange {
  readonly "min-identity"?: number;
  readonly "max-identity"?: number;
}

export interface BPFMapStatus {
  readonly "dynamic-size-ratio"?: number;
  readonly maps?: readonly { readonly name?: string; readonly size?: number }[];
}

export interface DaemonConfiguration {
  readonly spec?: DaemonConfigurationSpec;
  readonly status?: DaemonConfigurationStatus;
}

export const policyEnforcements = ["default", "always", "never"] as const;
export type PolicyEnforcement = (typeof policyEnforcements)[number];

export interface DaemonConfigurationSpec {
  readonly options?: ConfigurationMap;
  readonly "policy-enforcement"?: PolicyEnforcement;
}

export interface DaemonConfigurationStatus {
  readonly realized?: DaemonConfigurationSpec;
  readonly immutable?: ConfigurationMap;
  readonly addressing?: NodeAddressing;
  readonly "k8s-endpoint"?: string;
  readonly "k8s-configuration"?: string;
  readonly deviceMTU?: number;
  readonly routeMTU?: number;
  readonly datapathMode?: "veth" | "netkit" | "netkit-l2";
  readonly "ipam-mode"?: string;
  readonly masquerade?: boolean;
  readonly masqueradeProtocols?: { readonly ipv4?: boolean; readonly ipv6?: boolean };
  readonly daemonConfigurationMap?: Readonly<Record<string, unknown>>;
  readonly GSOMaxSize?: number;
  readonly GROMaxSize?: number;
  readonly GSOIPv4MaxSize?: number;
  readonly GROIPv4MaxSize?: number;
}
