export { type ScriptedForward, startScriptedForward } from "./exec/forward-server.ts";
