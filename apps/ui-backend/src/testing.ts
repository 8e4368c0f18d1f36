export { RunningProvider } from "./sign-in/running-provider.ts";
