/**
 * The states of an endpoint, by their names in the agent's API.
 *
 * - `waiting-for-identity`: it has a device and addresses; its labels are being turned into an identity.
 * - `waiting-to-regenerate`: its identity or policy has changed, and what the kernel holds is not yet that.
 * - `regenerating`: the kernel is being made to hold it.
 * - `ready`: the kernel holds it.
 * - `not-ready`: making the kernel hold it has failed, and is tried again.
 * - `restoring`: read from disk by an agent that has just started; what the kernel holds stays in force.
 * - `disconnecting`, `disconnected`: it is being taken down; it is gone.
 * - `invalid`: it could not be created, and never will be.
 */
export const endpointStates = [
  "waiting-for-identity",
  "waiting-to-regenerate",
  "regenerating",
  "restoring",
  "ready",
  "not-ready",
  "disconnecting",
  "disconnected",
  "invalid",
] as const;

export type EndpointState = (typeof endpointStates)[number];

const allowed: Readonly<Record<EndpointState, readonly EndpointState[]>> = {
  "waiting-for-identity": ["waiting-to-regenerate", "restoring", "disconnecting", "invalid"],
  "waiting-to-regenerate": ["regenerating", "waiting-for-identity", "restoring", "disconnecting"],
  regenerating: ["ready", "not-ready", "waiting-to-regenerate", "waiting-for-identity", "restoring", "disconnecting"],
  ready: ["waiting-to-regenerate", "waiting-for-identity", "restoring", "disconnecting"],
  "not-ready": ["waiting-to-regenerate", "waiting-for-identity", "restoring", "disconnecting"],
  restoring: ["waiting-for-identity", "waiting-to-regenerate", "regenerating", "ready", "disconnecting", "invalid"],
  disconnecting: ["disconnected"],
  disconnected: [],
  invalid: [],
};

export function isEndpointState(text: unknown): text is EndpointState {
  return typeof text === "string" && Object.hasOwn(allowed, text);
}

export function mayFollow(from: EndpointState, to: EndpointState): boolean {
  return allowed[from].includes(to);
}
