export { BackendProcess } from "./backend-process.ts";
export { launchChromium } from "./browser.ts";
export { bigCluster, openReplay } from "./replay/open-replay.ts";
export { ReplayHubble } from "./replay/replay-hubble.ts";
