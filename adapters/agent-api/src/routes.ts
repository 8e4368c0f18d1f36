import { isIP } from "node:net";
import { explainedProtocols } from "@cilium-ts/policy-advice";
import { type Answer, found, refused } from "./answer.ts";
import { type EndpointId, parseEndpointId } from "./endpoint-id.ts";
import type { AgentOperations } from "./operations.ts";
import { type PolicyParty, parsePolicyParty } from "./policy-party.ts";
import { refusedRoutes } from "./refused-operations.ts";
import { type ApiRequest, type Route, route } from "./router.ts";
import { type EndpointChangeRequest, endpointStates, type Labels, policyEnforcements } from "./shapes.ts";

/** Owner and pool when the caller names none. */
const defaultPool = "default";
const identityMax = 0xffff_ffff;

/** Every operation of the API: checks the form of what was asked, and hands it on. */
export function agentRoutes(operations: AgentOperations): readonly Route[] {
  return [
    ...nodeRoutes(operations),
    ...addressRoutes(operations),
    ...endpointRoutes(operations),
    ...policyRoutes(operations),
    ...nameRoutes(operations),
    ...refusedRoutes(),
  ];
}

function nodeRoutes(operations: AgentOperations): Route[] {
  return [
    route("GET", "/healthz", async ({ headers, signal }) => {
      const request = { brief: isTrue(headers.brief), requireKubernetes: isTrue(headers["require-k8s-connectivity"]) };
      return found(await operations.health(request, signal));
    }),
    route("GET", "/config", async ({ signal }) => found(await operations.configuration(signal))),
    route("PATCH", "/config", (request) => changeConfiguration(operations, request)),
    route("POST", "/host-firewall/confirm", ({ signal }) => operations.confirmHostPolicies(signal)),
    route("GET", "/cluster/nodes", async ({ signal }) => found(await operations.clusterNodes(signal))),
    route("GET", "/node/ids", async ({ signal }) => found(await operations.nodeIds(signal))),
    route("GET", "/debuginfo", async ({ signal }) => found(await operations.debugInformation(signal))),
    route("GET", "/map", async ({ signal }) => found(await operations.maps(signal))),
    route("GET", "/map/{name}", async ({ parameters: { name }, signal }) =>
      foundOr(await operations.map(name, signal), `there is no BPF map ${JSON.stringify(name)}`),
    ),
    route("POST", "/cni", async ({ body, signal }) => operations.cni(body, signal), { problemBody: cniProblem }),
  ];
}

/** Options that nobody could set would be ignored in silence: they are refused. */
async function changeConfiguration(operations: AgentOperations, { body, signal }: ApiRequest): Promise<Answer> {
  if (!isObject(body)) return refused(400, 'the body must be a configuration, such as {"policy-enforcement": "always"}');
  const { options = {}, "policy-enforcement": wanted } = body;
  const [unknown] = isObject(options) ? Object.keys(options) : ["options"];
  if (unknown !== undefined) return refused(400, `${unknown} cannot be changed while the agent runs; policy-enforcement can`);
  const policyEnforcement = policyEnforcements.find((known) => known === wanted);
  if (policyEnforcement === undefined)
    return refused(400, `policy-enforcement is one of ${policyEnforcements.join(", ")}, not ${JSON.stringify(wanted ?? "")}`);
  return operations.changeConfiguration({ policyEnforcement }, signal);
}

/** The plugin prints what it is answered, and container runtimes read an error of CNI: code 11 asks them to come again. */
function cniProblem(status: number, message: string): unknown {
  const code = status === 503 ? 11 : status === 500 ? 999 : 6;
  return { cniVersion: "1.1.0", code, msg: message, details: "" };
}

function addressRoutes(operations: AgentOperations): Route[] {
  const pool = (query: URLSearchParams): string => query.get("pool") || defaultPool;
  return [
    route("POST", "/ipam", async ({ query, headers, signal }) => {
      const family = query.get("family") ?? "";
      if (family === "" || family === "ipv4" || family === "ipv6") {
        const request = { owner: query.get("owner") ?? "", pool: pool(query), expiration: isTrue(headers.expiration) };
        return operations.allocateAddresses({ ...request, family: family === "" ? undefined : family }, signal);
      }
      return refused(400, `family is ipv4, ipv6, or left out for both, not ${JSON.stringify(family)}`);
    }),
    route("POST", "/ipam/{ip}", async ({ parameters: { ip }, query, signal }) => {
      if (isIP(ip) === 0) return refused(400, `${JSON.stringify(ip)} is no IP address`);
      return operations.claimAddress({ address: ip, owner: query.get("owner") ?? "", pool: pool(query) }, signal);
    }),
    route("DELETE", "/ipam/{ip}", async ({ parameters: { ip }, query, signal }) => {
      if (isIP(ip) === 0) return refused(400, `${JSON.stringify(ip)} is no IP address`);
      return operations.releaseAddress({ address: ip, pool: pool(query) }, signal);
    }),
    route("GET", "/ip", async ({ query, body, signal }) =>
      withLabels(body, async (labels) => {
        const cidr = query.get("cidr") || undefined;
        return foundOr(
          await operations.addresses({ cidr, labels }, signal),
          `no address${cidr === undefined ? "" : ` in ${cidr}`} is known`,
        );
      }),
    ),
  ];
}

function endpointRoutes(operations: AgentOperations): Route[] {
  return [
    route("GET", "/endpoint", async ({ body, signal }) =>
      withLabels(body, async (labels) => found(await operations.endpoints({ labels }, signal))),
    ),
    route("DELETE", "/endpoint", async ({ body, signal }) => {
      const containerId = isObject(body) ? body["container-id"] : undefined;
      if (typeof containerId !== "string" || containerId === "") return refused(400, 'the body must be {"container-id": "…"}');
      return operations.deleteEndpoints({ containerId }, signal);
    }),
    route("GET", "/endpoint/{id}", (request) =>
      withEndpoint(request, async (id) => foundOr(await operations.endpoint(id, request.signal), noEndpoint(request))),
    ),
    route("PUT", "/endpoint/{id}", (request) =>
      withEndpoint(request, async (id) => {
        const problem = problemOfChange(request.body);
        if (problem !== undefined) return refused(400, problem);
        return operations.createEndpoint(id, request.body as EndpointChangeRequest, request.signal);
      }),
    ),
    route("DELETE", "/endpoint/{id}", (request) => withEndpoint(request, (id) => operations.deleteEndpoint(id, request.signal))),
    route("GET", "/endpoint/{id}/healthz", (request) =>
      withEndpoint(request, async (id) => foundOr(await operations.endpointHealth(id, request.signal), noEndpoint(request))),
    ),
    route("GET", "/endpoint/{id}/config", (request) =>
      withEndpoint(request, async (id) => foundOr(await operations.endpointConfiguration(id, request.signal), noEndpoint(request))),
    ),
    route("GET", "/endpoint/{id}/log", (request) =>
      withEndpoint(request, async (id) => foundOr(await operations.endpointLog(id, request.signal), noEndpoint(request))),
    ),
    route("GET", "/endpoint/{id}/labels", (request) =>
      withEndpoint(request, async (id) => foundOr(await operations.endpointLabels(id, request.signal), noEndpoint(request))),
    ),
  ];
}

function policyRoutes(operations: AgentOperations): Route[] {
  return [
    route("GET", "/identity", async ({ body, signal }) =>
      withLabels(body, async (labels) => found(await operations.identities({ labels }, signal))),
    ),
    route("GET", "/identity/endpoints", async ({ signal }) => found(await operations.identityEndpoints(signal))),
    route("GET", "/identity/{id}", async ({ parameters: { id }, signal }) => {
      if (!/^[0-9]{1,10}$/.test(id) || Number(id) > identityMax)
        return refused(400, `${JSON.stringify(id)} is no identity: it is a number up to ${identityMax}`);
      return foundOr(await operations.identity(Number(id), signal), `there is no identity ${id}`);
    }),
    route("GET", "/policy", async ({ body, signal }) =>
      withLabels(body, async (labels) =>
        foundOr(await operations.policy({ labels }, signal), `no policy has the labels ${labels.join(", ")}`),
      ),
    ),
    route("GET", "/policy/selectors", async ({ signal }) => found(await operations.policySelectors(signal))),
    route("GET", "/policy/explain", (request) => explain(operations, request)),
  ];
}

function nameRoutes(operations: AgentOperations): Route[] {
  const given = (query: URLSearchParams, name: string): string | undefined => query.get(name) || undefined;
  const asked = (query: URLSearchParams) => ({
    pattern: given(query, "matchpattern"),
    cidr: given(query, "cidr"),
    source: given(query, "source"),
  });
  return [
    route("GET", "/fqdn/cache", ({ query, signal }) => operations.nameCache({ endpoint: undefined, ...asked(query) }, signal)),
    route("GET", "/fqdn/cache/{id}", (request) =>
      withEndpoint(request, (endpoint) => operations.nameCache({ endpoint, ...asked(request.query) }, request.signal)),
    ),
    route("DELETE", "/fqdn/cache", ({ query, signal }) => operations.forgetNames({ pattern: given(query, "matchpattern") }, signal)),
    route("GET", "/fqdn/names", async ({ signal }) => found(await operations.names(signal))),
  ];
}

async function explain(operations: AgentOperations, { query, signal }: ApiRequest): Promise<Answer> {
  const parties: PolicyParty[] = [];
  for (const name of ["from", "to"]) {
    const parsed = parsePolicyParty(query.get(name) ?? "");
    if (parsed.kind === "bad") return refused(400, `${name}: ${parsed.reason}`);
    parties.push(parsed.party);
  }
  const [from, to] = parties;
  if (from === undefined || to === undefined) throw new Error("two parties were read");
  const named = query.get("protocol") ?? "TCP";
  const protocol = explainedProtocols.find((known) => known.toLowerCase() === named.toLowerCase());
  if (protocol === undefined) return refused(400, `protocol is one of ${explainedProtocols.join(", ")}, not ${JSON.stringify(named)}`);
  const port = query.get("port") ?? "";
  const portMax = protocol.startsWith("ICMP") ? 255 : 65_535;
  if (!/^[0-9]{1,5}$/.test(port) || Number(port) > portMax)
    return refused(400, `port is a number up to ${portMax}${portMax === 255 ? " (the ICMP type)" : ""}, not ${JSON.stringify(port)}`);
  return operations.explainPolicy({ from, to, protocol, port: Number(port) }, signal);
}

function foundOr(body: unknown, absent: string): Answer {
  return body === undefined ? refused(404, absent) : found(body);
}

function noEndpoint(request: ApiRequest<"id">): string {
  return `there is no endpoint ${request.parameters.id}`;
}

async function withEndpoint(request: ApiRequest<"id">, handle: (id: EndpointId) => Promise<Answer>): Promise<Answer> {
  const parsed = parseEndpointId(request.parameters.id);
  return parsed.kind === "bad" ? refused(400, parsed.reason) : handle(parsed.id);
}

/** Some GETs take a list of labels as their body, odd as that is. */
async function withLabels(body: unknown, handle: (labels: Labels) => Promise<Answer>): Promise<Answer> {
  const labels = body ?? [];
  if (!Array.isArray(labels) || !labels.every((label) => typeof label === "string"))
    return refused(400, "the body must be a list of labels, as strings");
  return handle(labels);
}

/** Fields whose types the operation relies on. What it does not know it never reads. */
const changeFields: Readonly<Record<string, "string" | "number" | "boolean" | "object">> = {
  id: "number",
  "container-id": "string",
  "container-name": "string",
  "interface-name": "string",
  "interface-index": "number",
  "parent-interface-index": "number",
  "container-interface-name": "string",
  mac: "string",
  "host-mac": "string",
  addressing: "object",
  "k8s-pod-name": "string",
  "k8s-namespace": "string",
  "k8s-uid": "string",
  "policy-enabled": "boolean",
  pid: "number",
  "sync-build-endpoint": "boolean",
  "netns-cookie": "string",
  "datapath-configuration": "object",
};

function problemOfChange(body: unknown): string | undefined {
  if (!isObject(body)) return "the body must be an endpoint, as a JSON object";
  for (const [field, type] of Object.entries(changeFields)) {
    const value = body[field];
    if (value === undefined || value === null) continue;
    if (typeof value !== type || (type === "number" && !Number.isInteger(value)))
      return `${field} must be ${type === "number" ? "a whole number" : `a ${type}`}`;
  }
  const { state, labels } = body;
  if (labels !== undefined && (!Array.isArray(labels) || !labels.every((label) => typeof label === "string")))
    return "labels must be a list of strings";
  if (typeof state !== "string" || !endpointStates.some((known) => known === state))
    return `state must be one of ${endpointStates.join(", ")}`;
  return undefined;
}

function isTrue(header: string | string[] | undefined): boolean {
  return header === "true" || header === "1";
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
