import { type CniCall, cniCall } from "./cni-call.ts";
import { runOrThrow, runToEnd } from "./shell.ts";

export interface PodNetwork {
  readonly containerId: string;
  readonly namespacePath: string;
  readonly ipv4: string;
  readonly ipv6: string;
}

type PodCall = Pick<CniCall, "root" | "node"> & {
  readonly lab: string;
  readonly pod: { readonly namespace: string; readonly name: string; readonly uid: string };
};

/** A pod's network namespace, made and given to the real CNI plugin as a container runtime does. */
export async function addPodNetwork({ root, node, lab, pod }: PodCall): Promise<PodNetwork> {
  const netns = `ct-${lab}-${pod.namespace}-${pod.name}`;
  await runOrThrow("ip", ["netns", "add", netns]);
  const namespacePath = `/run/netns/${netns}`;
  await runOrThrow("nsenter", [`--net=${namespacePath}`, "ip", "link", "set", "lo", "up"]);
  const containerId = `${lab}-${pod.uid}`;
  const result = await cniCall({ root, node, command: "ADD", containerId, namespacePath, pod });
  const addresses = (result.ips ?? []).map((ip) => ip.address.split("/")[0] ?? "");
  return {
    containerId,
    namespacePath,
    ipv4: addresses.find((address) => address.includes(".")) ?? "",
    ipv6: addresses.find((address) => address.includes(":")) ?? "",
  };
}

/** Absent things are fine. */
export async function removePodNetwork(call: PodCall, network: Pick<PodNetwork, "containerId" | "namespacePath">): Promise<void> {
  const { root, node, pod } = call;
  const { containerId, namespacePath } = network;
  await cniCall({ root, node, command: "DEL", containerId, namespacePath, pod });
  await runToEnd("ip", ["netns", "del", namespacePath.slice("/run/netns/".length)]);
}
