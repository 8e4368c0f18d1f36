import { type AgentOperations, agentRoutes, openAgentSocket, serveAgentApi } from "@cilium-ts/agent-api";

/** Where an agent's API is asked. While it is open, no other agent of the node has one. */
export interface ApiDoor extends AsyncDisposable {
  /** Until aborted. */
  serve(operations: AgentOperations, signal: AbortSignal, onFailure: (request: string, failure: unknown) => void): Promise<void>;
}

/** Throws AgentSocketError where another agent is already serving. */
export async function openApiDoor(socketPath: string): Promise<ApiDoor> {
  const socket = await openAgentSocket({ socketPath });
  return {
    serve: (operations, signal, onFailure) => serveAgentApi({ socket, routes: agentRoutes(operations), signal, onFailure }),
    [Symbol.asyncDispose]: () => socket[Symbol.asyncDispose](),
  };
}
