export { runAgent, type World } from "./agent.ts";
export type { Log } from "./log.ts";
export type { ApiDoor } from "./serve/api-door.ts";
export { type AgentOptions, parseSettings } from "./settings.ts";
