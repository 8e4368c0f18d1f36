export type { Log } from "@cilium-ts/log";
export { runAgent } from "./agent.ts";
export type { ApiDoor } from "./serve/api-door.ts";
export { type AgentOptions, parseSettings } from "./settings.ts";
export type { World } from "./world.ts";
