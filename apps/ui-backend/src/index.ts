export { runUiBackend, type World } from "./run-ui-backend.ts";
export { parseSettings, type Settings } from "./settings.ts";
