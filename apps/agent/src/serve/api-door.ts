import { type AgentOperations, agentRoutes, openAgentSocket, type ServeOptions, serveAgentApi } from "@cilium-ts/agent-api";

/** Where an agent's API is asked. While it is open, no other agent of the node has one. */
export interface ApiDoor extends AsyncDisposable {
  /** Until aborted. */
  serve(operations: AgentOperations, signal: AbortSignal, told: Pick<ServeOptions, "onFailure" | "onServed">): Promise<void>;
}

/** Throws AgentSocketError where another agent is already serving. */
export async function openApiDoor(socketPath: string): Promise<ApiDoor> {
  const socket = await openAgentSocket({ socketPath });
  return {
    serve: (operations, signal, told) => serveAgentApi({ socket, routes: agentRoutes(operations), signal, ...told }),
    [Symbol.asyncDispose]: () => socket[Symbol.asyncDispose](),
  };
}
