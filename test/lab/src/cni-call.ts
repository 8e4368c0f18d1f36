import { join } from "node:path";
import type { LabNode } from "./lab.ts";
import { type Finished, runToEnd } from "./shell.ts";

export interface CniResult {
  readonly cniVersion: string;
  readonly interfaces?: ReadonlyArray<{ name: string; mac: string; sandbox?: string }>;
  readonly ips?: ReadonlyArray<{ interface?: number; address: string; gateway?: string }>;
}

export interface CniCall {
  readonly root: string;
  readonly node: LabNode;
  readonly command: "ADD" | "DEL" | "CHECK" | "STATUS" | "VERSION";
  readonly containerId?: string;
  readonly namespacePath?: string;
  readonly pod?: { readonly namespace: string; readonly name: string; readonly uid: string };
  /** Instead of the lab's network configuration. */
  readonly input?: string;
}

/** Executes the real plugin as a container runtime would, in the node's network namespace. */
export function executeCni(call: CniCall): Promise<Finished> {
  const { node, pod } = call;
  const config = {
    cniVersion: "1.0.0",
    name: "cilium",
    type: "cilium-cni",
    "agent-socket": node.socketPath,
    "delete-queue": join(node.directory, "deleteQueue"),
  };
  const env: NodeJS.ProcessEnv = {
    PATH: process.env.PATH,
    CNI_COMMAND: call.command,
    CNI_IFNAME: "eth0",
    CNI_PATH: join(call.root, "apps/cni/build"),
    ...(call.containerId === undefined ? {} : { CNI_CONTAINERID: call.containerId }),
    ...(call.namespacePath === undefined ? {} : { CNI_NETNS: call.namespacePath }),
    ...(pod === undefined
      ? {}
      : { CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${pod.namespace};K8S_POD_NAME=${pod.name};K8S_POD_UID=${pod.uid}` }),
  };
  const plugin = join(call.root, "apps/cni/build/cilium-cni");
  return runToEnd("nsenter", [`--net=${node.namespacePath}`, plugin], { input: call.input ?? JSON.stringify(config), env });
}

/** The plugin's result; throws with its error object when it fails. */
export async function cniCall(call: CniCall): Promise<CniResult> {
  const result = await executeCni(call);
  if (result.status !== 0) throw new Error(`CNI ${call.command} failed: ${result.stdout.trim() || result.stderr.trim()}`);
  return result.stdout.trim() === "" ? { cniVersion: "1.0.0" } : JSON.parse(result.stdout);
}
