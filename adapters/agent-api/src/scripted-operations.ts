import { created, done, found, refused } from "./answer.ts";
import type { AgentOperations } from "./operations.ts";

/** An agent with one endpoint, 7, that writes down what it was asked. */
export function scriptedOperations(asked: unknown[], own: Partial<AgentOperations> = {}): AgentOperations {
  const note = (name: string, request?: unknown): void => void asked.push(request === undefined ? name : [name, request]);
  const isSeven = (id: { kind: string; id?: number }): boolean => id.kind === "id" && id.id === 7;
  const seven = { id: 7, status: { state: "ready" as const } };
  const addressing = { ipv4: { enabled: true, ip: "10.0.0.1" } };
  const operations: AgentOperations = {
    async health(request) {
      note("health", request);
      return { cilium: { state: "Ok", msg: "" } };
    },
    async configuration() {
      return { status: { addressing } };
    },
    async allocateAddresses(request) {
      note("allocate", request);
      if (request.owner === "full") return refused(502, "10.0.0.0/24 is full");
      return created({ address: { ipv4: "10.0.0.5" }, "host-addressing": addressing });
    },
    async claimAddress(request) {
      note("claim", request);
      return done;
    },
    async releaseAddress(request) {
      note("release", request);
      return done;
    },
    async endpoints(request) {
      note("endpoints", request);
      return [seven];
    },
    async endpoint(id) {
      note("endpoint", id);
      return isSeven(id) ? seven : undefined;
    },
    async createEndpoint(id, request) {
      note("create", [id, request]);
      return isSeven(id) ? refused(409, "endpoint 7 exists") : created(seven);
    },
    async deleteEndpoint(id) {
      note("delete", id);
      return isSeven(id) ? { status: 206, body: 2 } : done;
    },
    async deleteEndpoints(request) {
      note("delete all", request);
      return done;
    },
    async endpointHealth(id) {
      return isSeven(id) ? { overallHealth: "OK" } : undefined;
    },
    async endpointLog(id) {
      return isSeven(id) ? [{ message: "created" }] : undefined;
    },
    async endpointLabels(id) {
      return isSeven(id) ? { status: { "security-relevant": ["k8s:app=web"] } } : undefined;
    },
    async identities() {
      return [{ id: 1 }];
    },
    async identity(id) {
      return id === 1 ? { id: 1, labels: ["reserved:host"] } : undefined;
    },
    async identityEndpoints() {
      return [{ identity: { id: 1 }, refCount: 1 }];
    },
    async policy({ labels }) {
      return labels.length === 0 ? { revision: 3, policy: "[]" } : undefined;
    },
    async policySelectors() {
      return [];
    },
    async addresses({ cidr }) {
      return cidr === "192.0.2.0/24" ? undefined : [{ cidr: "10.0.0.5/32", identity: 300 }];
    },
    async maps() {
      return { maps: [{ path: "/sys/fs/bpf/tc/globals/x" }] };
    },
    async map(name) {
      return name === "x" ? { path: "/sys/fs/bpf/tc/globals/x" } : undefined;
    },
    async cni(request) {
      note("cni", request);
      return found({ cniVersion: "1.1.0" });
    },
  };
  return { ...operations, ...own };
}
