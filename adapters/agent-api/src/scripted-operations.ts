import { created, done, found, refused } from "./answer.ts";
import type { EndpointId } from "./endpoint-id.ts";
import type { AgentOperations, WrittenExplanation } from "./operations.ts";
import type { Endpoint } from "./shapes.ts";

const addressing = { ipv4: { enabled: true, ip: "10.0.0.1" } };
const seven: Endpoint = { id: 7, status: { state: "ready" } };

function isSeven(id: EndpointId): boolean {
  return id.kind === "id" && id.id === 7;
}

/** An agent with one endpoint, 7, that writes down what it was asked. */
export function scriptedOperations(asked: unknown[], own: Partial<AgentOperations> = {}): AgentOperations {
  return { ...nodeOperations(asked), ...addressOperations(asked), ...endpointOperations(asked), ...policyOperations, ...own };
}

type NodeOperations = Pick<
  AgentOperations,
  | "health"
  | "configuration"
  | "changeConfiguration"
  | "confirmHostPolicies"
  | "clusterNodes"
  | "nodeIds"
  | "debugInformation"
  | "maps"
  | "map"
  | "cni"
>;

function nodeOperations(asked: unknown[]): NodeOperations {
  return {
    async health(request) {
      asked.push(["health", request]);
      return { cilium: { state: "Ok", msg: "" } };
    },
    configuration: async () => ({ status: { addressing } }),
    async changeConfiguration(request) {
      asked.push(["configuration", request]);
      return done;
    },
    async confirmHostPolicies() {
      asked.push(["confirm"]);
      return asked.length > 1 ? refused(404, "no policy of this node is on trial") : done;
    },
    clusterNodes: async () => ({ self: "default/n1", "nodes-added": [{ name: "default/n1", source: "local" }] }),
    nodeIds: async () => [{ id: 3, ips: ["192.0.2.3"] }],
    debugInformation: async () => ({ "cilium-version": "1" }),
    maps: async () => ({ maps: [{ path: "/sys/fs/bpf/tc/globals/x" }] }),
    map: async (name) => (name === "x" ? { path: "/sys/fs/bpf/tc/globals/x" } : undefined),
    async cni(request) {
      asked.push(["cni", request]);
      return found({ cniVersion: "1.1.0" });
    },
  };
}

type AddressOperations = Pick<
  AgentOperations,
  "allocateAddresses" | "claimAddress" | "releaseAddress" | "addresses" | "nameCache" | "forgetNames" | "names"
>;

function addressOperations(asked: unknown[]): AddressOperations {
  return {
    async allocateAddresses(request) {
      asked.push(["allocate", request]);
      if (request.owner === "full") return refused(502, "10.0.0.0/24 is full");
      return created({ address: { ipv4: "10.0.0.5" }, "host-addressing": addressing });
    },
    async claimAddress(request) {
      asked.push(["claim", request]);
      return done;
    },
    async releaseAddress(request) {
      asked.push(["release", request]);
      return done;
    },
    async nameCache(request) {
      asked.push(["name cache", request]);
      if (request.endpoint !== undefined && !isSeven(request.endpoint)) return refused(404, "there is no such endpoint");
      return found([{ fqdn: "www.test.", ips: ["192.0.2.1"], "endpoint-id": 7 }]);
    },
    async forgetNames(request) {
      asked.push(["forget names", request]);
      return done;
    },
    names: async () => ({ FQDNPolicySelectors: [{ selectorString: "MatchName: www.test, MatchPattern: " }] }),
    addresses: async ({ cidr }) => (cidr === "192.0.2.0/24" ? undefined : [{ cidr: "10.0.0.5/32", identity: 300 }]),
  };
}

type PolicyOperations = Pick<
  AgentOperations,
  "identities" | "identity" | "identityEndpoints" | "policy" | "policySelectors" | "explainPolicy"
>;

const openDirection: WrittenExplanation["egress"] = {
  verdict: "allowed",
  enforced: false,
  reason: "no policy selects it",
  match: "all",
  rules: [],
  policies: [],
  changes: [],
};

const policyOperations: PolicyOperations = {
  identities: async () => [{ id: 1 }],
  identity: async (id) => (id === 1 ? { id: 1, labels: ["reserved:host"] } : undefined),
  identityEndpoints: async () => [{ identity: { id: 1 }, refCount: 1 }],
  policy: async ({ labels }) => (labels.length === 0 ? { revision: 3, policy: "[]" } : undefined),
  policySelectors: async () => [],
  async explainPolicy({ from, to, protocol, port }) {
    if (from.kind !== "endpoint" || to.kind !== "identity") return refused(404, "there is no such party");
    const parties = { from: { identity: 300, labels: [] }, to: { identity: to.id, labels: [] } };
    return found({ ...parties, protocol, port, verdict: "allowed", egress: openDirection, ingress: openDirection });
  },
};

type EndpointOperations = Omit<AgentOperations, keyof (NodeOperations & AddressOperations & PolicyOperations)>;

function endpointOperations(asked: unknown[]): EndpointOperations {
  return {
    async endpoints(request) {
      asked.push(["endpoints", request]);
      return [seven];
    },
    endpoint: async (id) => (isSeven(id) ? seven : undefined),
    async createEndpoint(id, request) {
      asked.push(["create", [id, request]]);
      return isSeven(id) ? refused(409, "endpoint 7 exists") : created(seven);
    },
    deleteEndpoint: async (id) => (isSeven(id) ? { status: 206, body: 2 } : done),
    deleteEndpoints: async () => done,
    endpointHealth: async (id) => (isSeven(id) ? { overallHealth: "OK" } : undefined),
    endpointConfiguration: async (id) => (isSeven(id) ? { realized: { options: { PolicyAuditMode: "Disabled" } } } : undefined),
    endpointLog: async (id) => (isSeven(id) ? [{ message: "created" }] : undefined),
    endpointLabels: async (id) => (isSeven(id) ? { status: { "security-relevant": ["k8s:app=web"] } } : undefined),
  };
}
