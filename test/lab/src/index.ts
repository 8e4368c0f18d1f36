export { type CniCall, type CniResult, cniCall, executeCni } from "./cni-call.ts";
export { Lab, type LabNode, type LabOptions, type LabPod } from "./lab.ts";
export { ownPlace } from "./own-place.ts";
export { removeLab } from "./remove-lab.ts";
export { type Daemon, type Finished, isRunning, runOrThrow, runToEnd, startDaemon, stopDaemon } from "./shell.ts";
