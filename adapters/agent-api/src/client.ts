import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { errorMessage } from "@cilium-ts/std";
import type { WrittenExplanation } from "./operations.ts";
import type {
  BPFMap,
  BPFMapList,
  ClusterNodeStatus,
  DaemonConfiguration,
  DaemonConfigurationSpec,
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
  NameManager,
  NodeID,
  Policy,
  SelectorIdentityMapping,
  StatusResponse,
} from "./shapes.ts";

const answerSizeBytesMax = 64 * 1024 * 1024;

/** The agent said no, or could not be asked (status 0). */
export class AgentApiError extends Error {
  override readonly name = "AgentApiError";
  readonly status: number;

  constructor(message: string, status: number, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.status = status;
  }
}

interface CallOptions {
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/**
 * Asks an agent over its socket. Endpoints are named in the forms of `parseEndpointId`. A method rejects with AgentApiError for every
 * answer but success, and with the signal's reason when aborted.
 */
export class AgentClient implements Disposable {
  readonly socketPath: string;
  readonly #basePath: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 });

  /** `basePath`: that of the agent's API, `/v1`, when absent. */
  constructor({ socketPath, basePath = "/v1" }: { socketPath: string; basePath?: string }) {
    this.socketPath = socketPath;
    this.#basePath = basePath;
  }

  health(signal: AbortSignal, options: { brief?: boolean } = {}): Promise<StatusResponse> {
    return this.#get("/healthz", signal, options.brief === true ? { headers: { brief: "true" } } : {});
  }

  configuration(signal: AbortSignal): Promise<DaemonConfiguration> {
    return this.#get("/config", signal);
  }

  /** Until the agent starts again, which goes by its settings. */
  async changeConfiguration(configuration: DaemonConfigurationSpec, signal: AbortSignal): Promise<void> {
    await this.call("PATCH", "/config", signal, { body: configuration });
  }

  async confirmHostPolicies(signal: AbortSignal): Promise<void> {
    await this.call("POST", "/host-firewall/confirm", signal);
  }

  clusterNodes(signal: AbortSignal): Promise<ClusterNodeStatus> {
    return this.#get("/cluster/nodes", signal);
  }

  allocateAddresses(
    options: { family?: "ipv4" | "ipv6"; owner: string; expiration?: boolean },
    signal: AbortSignal,
  ): Promise<IPAMResponse> {
    const query = { owner: options.owner, ...(options.family !== undefined && { family: options.family }) };
    return this.call("POST", "/ipam", signal, {
      query,
      headers: { expiration: String(options.expiration ?? false) },
    }) as Promise<IPAMResponse>;
  }

  async releaseAddress(address: string, signal: AbortSignal): Promise<void> {
    await this.call("DELETE", `/ipam/${encodeURIComponent(address)}`, signal);
  }

  endpoints(signal: AbortSignal): Promise<readonly Endpoint[]> {
    return this.#get("/endpoint", signal);
  }

  endpoint(id: string, signal: AbortSignal): Promise<Endpoint> {
    return this.#get(endpointPath(id), signal);
  }

  createEndpoint(id: string, endpoint: EndpointChangeRequest, signal: AbortSignal): Promise<Endpoint> {
    return this.call("PUT", endpointPath(id), signal, { body: endpoint }) as Promise<Endpoint>;
  }

  /** How many things went wrong on the way; it is gone all the same. */
  async deleteEndpoint(id: string, signal: AbortSignal): Promise<number> {
    return ((await this.call("DELETE", endpointPath(id), signal)) as number | undefined) ?? 0;
  }

  async deleteEndpoints(containerId: string, signal: AbortSignal): Promise<number> {
    return ((await this.call("DELETE", "/endpoint", signal, { body: { "container-id": containerId } })) as number | undefined) ?? 0;
  }

  endpointHealth(id: string, signal: AbortSignal): Promise<EndpointHealth> {
    return this.#get(endpointPath(id, "healthz"), signal);
  }

  endpointConfiguration(id: string, signal: AbortSignal): Promise<EndpointConfigurationStatus> {
    return this.#get(endpointPath(id, "config"), signal);
  }

  endpointLog(id: string, signal: AbortSignal): Promise<readonly EndpointStatusChange[]> {
    return this.#get(endpointPath(id, "log"), signal);
  }

  endpointLabels(id: string, signal: AbortSignal): Promise<LabelConfiguration> {
    return this.#get(endpointPath(id, "labels"), signal);
  }

  nodeIds(signal: AbortSignal): Promise<readonly NodeID[]> {
    return this.#get("/node/ids", signal);
  }

  debugInformation(signal: AbortSignal): Promise<DebugInfo> {
    return this.#get("/debuginfo", signal);
  }

  identities(signal: AbortSignal): Promise<readonly Identity[]> {
    return this.#get("/identity", signal);
  }

  identity(id: number, signal: AbortSignal): Promise<Identity> {
    return this.#get(`/identity/${id}`, signal);
  }

  identityEndpoints(signal: AbortSignal): Promise<readonly IdentityEndpoints[]> {
    return this.#get("/identity/endpoints", signal);
  }

  policy(signal: AbortSignal): Promise<Policy> {
    return this.#get("/policy", signal);
  }

  policySelectors(signal: AbortSignal): Promise<readonly SelectorIdentityMapping[]> {
    return this.#get("/policy/selectors", signal);
  }

  /** Parties in the forms of `parsePolicyParty`. Our own agent's operation only. */
  explainPolicy(request: { from: string; to: string; protocol: string; port: number }, signal: AbortSignal): Promise<WrittenExplanation> {
    return this.#get("/policy/explain", signal, { query: { ...request, port: String(request.port) } });
  }

  addresses(signal: AbortSignal, options: { cidr?: string } = {}): Promise<readonly IPListEntry[]> {
    return this.#get("/ip", signal, options.cidr === undefined ? {} : { query: { cidr: options.cidr } });
  }

  /** What endpoints have heard of names; of one endpoint, in the forms of `parseEndpointId`, when it is given. */
  nameCache(
    signal: AbortSignal,
    { endpoint, ...query }: { endpoint?: string; matchpattern?: string; cidr?: string; source?: string } = {},
  ): Promise<readonly DNSLookup[]> {
    return this.#get(endpoint === undefined ? "/fqdn/cache" : `/fqdn/cache/${encodeURIComponent(endpoint)}`, signal, { query });
  }

  async forgetNames(query: { matchpattern?: string }, signal: AbortSignal): Promise<void> {
    await this.call("DELETE", "/fqdn/cache", signal, { query });
  }

  names(signal: AbortSignal): Promise<NameManager> {
    return this.#get("/fqdn/names", signal);
  }

  maps(signal: AbortSignal): Promise<BPFMapList> {
    return this.#get("/map", signal);
  }

  map(name: string, signal: AbortSignal): Promise<BPFMap> {
    return this.#get(`/map/${encodeURIComponent(name)}`, signal);
  }

  /** The result of the CNI plugin's call, whatever its status. */
  async cni(body: unknown, signal: AbortSignal): Promise<{ status: number; body: unknown }> {
    return this.#exchange("POST", "/cni", signal, { body });
  }

  /** Any operation, for those that have no method here. The path stands below the base path. */
  async call(method: string, path: string, signal: AbortSignal, options: CallOptions = {}): Promise<unknown> {
    const { status, body } = await this.#exchange(method, path, signal, options);
    if (status >= 200 && status < 300) return body;
    throw new AgentApiError(messageOf(body) ?? `${method} ${path}: the agent answered ${status}`, status);
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }

  #get<T>(path: string, signal: AbortSignal, options: CallOptions = {}): Promise<T> {
    return this.call("GET", path, signal, options) as Promise<T>;
  }

  async #exchange(method: string, path: string, signal: AbortSignal, options: CallOptions): Promise<{ status: number; body: unknown }> {
    signal.throwIfAborted();
    const body = options.body === undefined ? undefined : Buffer.from(JSON.stringify(options.body));
    const query = options.query === undefined ? "" : `?${new URLSearchParams(options.query)}`;
    const headers = {
      ...options.headers,
      ...(body !== undefined && { "content-type": "application/json", "content-length": body.length }),
    };
    try {
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        const call = { socketPath: this.socketPath, agent: this.#agent, method, path: `${this.#basePath}${path}${query}`, headers, signal };
        httpRequest(call, resolve).once("error", reject).end(body);
      });
      const text = await readText(response);
      return { status: response.statusCode ?? 0, body: text.trim() === "" ? undefined : JSON.parse(text) };
    } catch (cause) {
      signal.throwIfAborted();
      throw new AgentApiError(
        `the cilium-agent cannot be reached on ${this.socketPath}: ${errorMessage(cause)}: is it running, and are you root?`,
        0,
        cause,
      );
    }
  }
}

function endpointPath(id: string, part?: string): string {
  return `/endpoint/${encodeURIComponent(id)}${part === undefined ? "" : `/${part}`}`;
}

/** Errors of operations are strings, those of the API itself have a code and a message. */
function messageOf(body: unknown): string | undefined {
  if (typeof body === "string") return body;
  if (typeof body === "object" && body !== null && "message" in body && typeof body.message === "string") return body.message;
  return undefined;
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of response) {
    sizeBytes += chunk.length;
    if (sizeBytes > answerSizeBytesMax) throw new Error(`the answer is larger than ${answerSizeBytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
