import { type AgentOperations, done, type Endpoint, type Identity, type WrittenExplanation } from "@cilium-ts/agent-api";

const clientLabels = ["k8s:app=client", "k8s:io.kubernetes.pod.namespace=default"];
const serverLabels = ["k8s:app=server", "k8s:io.kubernetes.pod.namespace=default"];

export const identities: readonly Identity[] = [
  { id: 1002, labels: serverLabels },
  { id: 1, labels: ["reserved:host"] },
  { id: 1001, labels: clientLabels },
];

export const endpoints: readonly Endpoint[] = [
  {
    id: 22,
    status: {
      state: "ready",
      identity: { id: 1002, labels: serverLabels },
      networking: { addressing: [{ ipv4: "10.0.1.22", ipv6: "fd00::22" }] },
      policy: { realized: { "policy-enabled": "both" } },
    },
  },
  {
    id: 11,
    status: {
      state: "waiting-for-identity",
      networking: { addressing: [{ ipv4: "10.0.1.11" }] },
      policy: { realized: { "policy-enabled": "none" } },
    },
  },
];

const web = { kind: "CiliumNetworkPolicy", namespace: "default", name: "web" };
const open: WrittenExplanation["egress"] = {
  verdict: "allowed",
  enforced: false,
  reason: "everything is allowed at default/client: no policy selects it for egress",
  match: "all",
  rules: [],
  policies: [],
  changes: ["a policy with an egress section that selects default/client drops what it does not allow"],
};

const nodeOperations: Partial<AgentOperations> = {
  confirmHostPolicies: async () => done,
  health: async () => ({
    cilium: { state: "Ok", msg: "cilium-ts 0.1.0" },
    kubernetes: { state: "Failure", msg: "the API server is away" },
    kvstore: { state: "Disabled", msg: "" },
    hubble: { state: "Ok", msg: "", observer: { "max-flows": 4095, "current-flows": 1024, "seen-flows": 7200, uptime: "1h0m0s" } },
    "host-firewall": { mode: "Enabled", devices: ["eth0", "eth1"] },
    "datapath-mode": "veth",
    "attach-mode": "tcx",
    nodeMonitor: { cpus: 2, npages: 1024, pagesize: 4096, lost: 3 },
    ipam: {
      status: "IPv4: 2/253 allocated, IPv6: 1/65533 allocated",
      allocations: { "10.0.1.22": "default/server", "10.0.1.11": "default/client" },
    },
    "identity-range": { "min-identity": 256, "max-identity": 65535 },
    proxy: {
      ip: "10.0.1.1",
      "port-range": "10000-20000",
      "total-redirects": 1,
      "total-ports": 1,
      redirects: [{ name: "7:egress:UDP:53:", proxy: "dns", "proxy-port": 10_000 }],
    },
    "bpf-maps": { maps: [{ name: "policy", size: 1048576 }] },
    controllers: [
      { name: "sync", status: { "success-count": 5 } },
      {
        name: "publish",
        status: { "consecutive-failure-count": 4, "last-failure-timestamp": "2026-01-01T00:00:00Z", "last-failure-msg": "no route" },
      },
    ],
  }),
  configuration: async () => ({
    status: {
      realized: { options: { Debug: "Disabled" }, "policy-enforcement": "default" },
      deviceMTU: 1450,
      addressing: { ipv4: { ip: "10.0.1.1" } },
    },
  }),
  clusterNodes: async () => ({
    "nodes-added": [
      {
        name: "default/node1",
        source: "local",
        "primary-address": { ipv4: { ip: "172.31.0.11", "alloc-range": "10.0.1.0/24" }, ipv6: { "alloc-range": "fd00::/112" } },
      },
    ],
  }),
  nameCache: async ({ source }) => ({
    status: 200,
    body:
      source === "connection"
        ? []
        : [
            {
              fqdn: "www.test.",
              ips: ["192.0.2.1", "192.0.2.2"],
              ttl: 30,
              "endpoint-id": 11,
              source: "lookup",
              "expiration-time": "2026-01-01T00:00:30.000Z",
            },
          ],
  }),
  forgetNames: async () => ({ status: 200, body: undefined }),
  names: async () => ({
    FQDNPolicySelectors: [{ selectorString: "MatchName: www.test., MatchPattern: ", regexString: "^www[.]test[.]$" }],
  }),
  addresses: async () => [
    { cidr: "10.0.1.22/32", identity: 1002, hostIP: "172.31.0.11", metadata: { source: "local" } },
    { cidr: "0.0.0.0/0", identity: 9, metadata: { source: "restored" } },
  ],
  maps: async () => ({ maps: [{ path: "/sys/fs/bpf/cilium/maps/policy" }] }),
  map: async (name) => (name === "policy" ? { path: "x", cache: [{ key: "00ff", value: "01", "desired-action": "ok" }] } : undefined),
};

const endpointOperations: Partial<AgentOperations> = {
  endpoints: async () => endpoints,
  endpoint: async (id) => endpoints.find((endpoint) => id.kind === "id" && endpoint.id === id.id),
  endpointHealth: async () => ({ overallHealth: "OK", bpf: "OK", policy: "Pending", connected: true }),
  endpointConfiguration: async () => ({ realized: { options: { PolicyAuditMode: "Disabled" } } }),
  nodeIds: async () => [{ id: 3, ips: ["192.0.2.3", "2001:db8::3"] }],
  debugInformation: async () => ({ "cilium-version": "cilium-ts 0.1.0" }),
  endpointLog: async () => [
    { timestamp: "2026-01-01T00:00:01.000Z", code: "failed", state: "not-ready", message: "policy could not be enforced" },
    { timestamp: "2026-01-01T00:00:00.000Z", code: "ok", state: "ready", message: "policy enforced" },
  ],
  endpointLabels: async () => ({ status: { "security-relevant": clientLabels, disabled: ["k8s:pod-template-hash=1"] } }),
  identities: async () => identities,
  identity: async (id) => identities.find((identity) => identity.id === id),
  identityEndpoints: async () => [{ identity: { id: 1002, labels: serverLabels }, refCount: 3 }],
};

const policyOperations: Partial<AgentOperations> = {
  policy: async () => ({ revision: 7, policy: '[{"ingress":[]}]' }),
  policySelectors: async () => [
    {
      selector: "any.app=client",
      labels: [
        { source: "k8s", key: "io.cilium.k8s.policy.name", value: "web" },
        { source: "k8s", key: "io.cilium.k8s.policy.namespace", value: "default" },
      ],
      users: 1,
      identities: [1001, 1003],
    },
  ],
  explainPolicy: async ({ protocol, port }) => ({
    status: 200,
    body: {
      from: { identity: 1001, labels: clientLabels, endpoint: 11, pod: "default/client" },
      to: { identity: 1002, labels: serverLabels },
      protocol,
      port,
      verdict: "denied",
      egress: open,
      ingress: {
        verdict: "denied",
        enforced: true,
        reason: "traffic from default/client on 80/TCP is denied at default/server",
        match: "L3-L4",
        rules: [{ ...web, path: "ingressDeny[0].toPorts[0]" }],
        policies: [web],
        changes: ["without ingressDeny[0] it would be allowed"],
        remedy: { kind: "CiliumNetworkPolicy", spec: { egress: [] } },
      },
    },
  }),
};

/** An agent with two endpoints. It answers what `cilium-dbg` asks, and nothing else. */
export const sampleOperations = { ...nodeOperations, ...endpointOperations, ...policyOperations } as AgentOperations;
