import { join } from "node:path";
import { type CniCall, executeCni, type Finished, runOrThrow } from "@cilium-ts/lab";
import { repositoryRoot } from "@cilium-ts/tools/repository";
import type { Cluster } from "./cluster.ts";

/** What a container runtime has before it calls the plugin: a network namespace, and the pod that it is for. */
export interface Container {
  readonly containerId: string;
  readonly namespacePath: string;
  readonly pod: { readonly namespace: string; readonly name: string; readonly uid: string };
}

/** A call as a runtime of that version makes it; what is given wins over what the container says. */
export type RuntimeCall = Partial<Pick<CniCall, "containerId" | "namespacePath" | "pod" | "input">> & {
  readonly cniVersion?: string;
  /** More keys of the network configuration. */
  readonly config?: object;
};

export async function createContainer({ lab }: Cluster, name: string): Promise<Container> {
  const metadata = { namespace: "default", name, labels: { app: name } };
  await lab.kubectl.apply({
    apiVersion: "v1",
    kind: "Pod",
    metadata,
    spec: { nodeName: "node1", containers: [{ name: "main", image: "none" }] },
  });
  const uid = (await lab.kubectl.run(["get", "pod", name, "-o", "jsonpath={.metadata.uid}"])).trim();
  const namespace = `ct-${lab.name}-c-${name}`; // The lab removes what has its name.
  await runOrThrow("ip", ["netns", "add", namespace]);
  return { containerId: `${name}-${uid}`, namespacePath: `/run/netns/${namespace}`, pod: { namespace: "default", name, uid } };
}

/** Executes the real plugin; nothing that it answers is an exception. */
export function runtime(
  { lab }: Cluster,
  command: CniCall["command"],
  container: Partial<Container>,
  call: RuntimeCall = {},
): Promise<Finished> {
  const node = lab.node();
  const { cniVersion = "1.0.0", config = {}, ...given } = call;
  const input = JSON.stringify({
    cniVersion,
    name: "cilium",
    type: "cilium-cni",
    "agent-socket": node.socketPath,
    "delete-queue": join(node.directory, "deleteQueue"),
    ...config,
  });
  return executeCni({ root: repositoryRoot, node, command, ...container, input, ...given });
}
