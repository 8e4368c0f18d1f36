export type { Log } from "./log.ts";
export { runOperator, type World } from "./operator.ts";
export { type OperatorOptions, parseSettings } from "./settings.ts";
