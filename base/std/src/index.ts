export { type BackOff, createBackOff } from "./back-off.ts";
export { type Clock, systemClock } from "./clock.ts";
export { errorMessage, toError } from "./errors.ts";
export { TaskGroup } from "./task-group.ts";
