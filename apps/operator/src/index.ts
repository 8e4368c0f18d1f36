export type { Log } from "@cilium-ts/log";
export { runOperator, type World } from "./operator.ts";
export { type OperatorOptions, parseSettings } from "./settings.ts";
