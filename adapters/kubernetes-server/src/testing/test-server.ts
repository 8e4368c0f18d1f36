import { readCiliumDefinitions } from "../cilium-definitions.ts";
import { type ApiServer, type ServerOptions, startApiServer } from "../serve/server.ts";
import { createMemoryStore } from "./memory-store.ts";

export interface TestServer extends ApiServer {
  /** What the server could not explain to its clients; a test looks here at its end. */
  readonly errors: readonly unknown[];
}

/** The real server on a store in memory: plain HTTP on a free port of the loopback, no authentication, Cilium's kinds defined. */
export async function startTestServer(options: Partial<ServerOptions> = {}): Promise<TestServer> {
  const store = options.store ?? createMemoryStore();
  const errors: unknown[] = [];
  const server = await startApiServer({
    store,
    host: "127.0.0.1",
    port: 0,
    tls: undefined,
    definitions: readCiliumDefinitions(),
    onError: (error) => errors.push(error),
    ...options,
  });
  return {
    ...server,
    errors,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      if (options.store === undefined) await store[Symbol.asyncDispose]();
    },
  };
}
