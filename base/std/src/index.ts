export { type Clock, systemClock } from "./clock.ts";
export { TaskGroup } from "./task-group.ts";
export { errorMessage, toError } from "./errors.ts";
