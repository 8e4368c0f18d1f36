import { type HttpAnswer, openHttpEndpoint, prometheusAnswer, type ServeAddress } from "@cilium-ts/http-endpoint";
import type { Readiness } from "../readiness.ts";
import type { AgentOptions } from "../settings.ts";

export interface OutsideOptions {
  readonly options: Pick<AgentOptions, "healthPort" | "metricsAddress">;
  readonly readiness: Readiness;
  /** Of the API server; undefined when it answers. */
  failure(): string | undefined;
  metrics(): string;
}

/** What a kubelet's probes and Prometheus ask the agent for: contracts sections 1 and 14. */
export async function openOutside(outside: OutsideOptions): Promise<AsyncDisposable> {
  const { options, metrics } = outside;
  const stack = new AsyncDisposableStack();
  const open = async (name: string, address: ServeAddress, routes: Parameters<typeof openHttpEndpoint>[2]): Promise<void> => {
    stack.use(await openHttpEndpoint(name, address, routes));
  };
  try {
    if (options.healthPort !== 0)
      await open(
        "health of the agent",
        { host: "127.0.0.1", port: options.healthPort },
        { "/healthz": (headers) => healthAnswer(outside, headers) },
      );
    if (options.metricsAddress !== undefined)
      await open("metrics of the agent", options.metricsAddress, { "/metrics": () => prometheusAnswer(metrics()) });
  } catch (cause) {
    await stack[Symbol.asyncDispose]();
    throw cause;
  }
  return stack;
}

/** A server that is away is no reason to restart an agent that goes on without it, unless the probe says so. */
function healthAnswer(
  { readiness, failure }: OutsideOptions,
  headers: Readonly<Record<string, string | string[] | undefined>>,
): HttpAnswer {
  const requiresServer = headers["require-k8s-connectivity"] === "true";
  const problem = readiness.missing() ?? (requiresServer ? failure() : undefined);
  return { status: problem === undefined ? 200 : 503, contentType: "text/plain; charset=utf-8", body: `${problem ?? "ok"}\n` };
}
