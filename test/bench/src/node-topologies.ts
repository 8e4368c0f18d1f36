import { runOrThrow, runToEnd } from "@cilium-ts/lab";
import type { Topology } from "./topologies.ts";

/**
 * Two nodes on an underlay bridge, as the lab has them, each with one end of the measurement. What connects the ends across the nodes is
 * all that differs: the kernel's own means, without any policy.
 */
async function openTwoNodes(prefix: string, name: string, connect: (nodes: readonly Node[]) => Promise<void>): Promise<Topology> {
  const under = `${prefix}-under`;
  const nodes: Node[] = [1, 2].map((index) => ({
    index,
    node: `${prefix}-n${index}`,
    end: `${prefix}-e${index}`,
    underlay: `198.51.100.${index}`,
  }));
  const all = [under, ...nodes.flatMap(({ node, end }) => [node, end])];
  const remove = async (): Promise<void> => {
    for (const namespace of all) await runToEnd("ip", ["netns", "del", namespace]);
  };
  await remove();
  try {
    for (const namespace of all) {
      await runOrThrow("ip", ["netns", "add", namespace]);
      await ip(namespace, "link set lo up");
    }
    await ip(under, "link add br0 type bridge");
    await ip(under, "link set br0 up");
    for (const { index, node, underlay } of nodes) {
      await ip(under, `link add u${index} type veth peer name eth0 netns ${node}`);
      await ip(under, `link set u${index} master br0 up`);
      await ip(node, `address add ${underlay}/24 dev eth0`);
      await ip(node, "link set eth0 up");
    }
    await connect(nodes);
  } catch (cause) {
    await remove();
    throw cause;
  }
  const path = (index: number): string => `/run/netns/${nodes[index]?.end ?? ""}`;
  return { name, clientNamespacePath: path(0), serverNamespacePath: path(1), serverAddress: "192.0.2.2", [Symbol.asyncDispose]: remove };
}

interface Node {
  readonly index: number;
  readonly node: string;
  readonly end: string;
  readonly underlay: string;
}

/** The kernel's VXLAN under a bridge on each node: what flannel and its like build. */
export function openKernelVxlan(prefix: string): Promise<Topology> {
  return openTwoNodes(prefix, "kernel-vxlan", async (nodes) => {
    for (const { index, node, end, underlay } of nodes) {
      const remote = nodes.find((other) => other.index !== index)?.underlay ?? "";
      await ip(node, "link add br1 type bridge");
      await ip(node, `link add vx0 mtu 1450 type vxlan id 7 local ${underlay} remote ${remote} dstport 8472`);
      await ip(node, `link add p0 mtu 1450 type veth peer name eth0 mtu 1450 netns ${end}`);
      for (const port of ["vx0", "p0"]) await ip(node, `link set ${port} master br1 up`);
      await ip(node, "link set br1 up");
      await ip(end, `address add 192.0.2.${index}/24 dev eth0`);
      await ip(end, "link set eth0 up");
    }
  });
}

/** A route to the other end on each node. */
export function openPlainRouting(prefix: string): Promise<Topology> {
  return openTwoNodes(prefix, "plain-routing", async (nodes) => {
    for (const { index, node, end } of nodes) {
      const other = nodes.find((candidate) => candidate.index !== index);
      await ip(node, `link add p0 type veth peer name eth0 netns ${end}`);
      await ip(node, "link set p0 up");
      await runOrThrow("nsenter", [`--net=/run/netns/${node}`, "sysctl", "-qw", "net.ipv4.ip_forward=1"]);
      await ip(node, `route add 192.0.2.${index}/32 dev p0`);
      await ip(node, `route add 192.0.2.${other?.index}/32 via ${other?.underlay}`);
      await ip(node, "address add 169.254.1.1/32 dev p0");
      await ip(end, `address add 192.0.2.${index}/32 dev eth0`);
      await ip(end, "link set eth0 up");
      await ip(end, "route add 169.254.1.1/32 dev eth0");
      await ip(end, "route add default via 169.254.1.1");
    }
  });
}

function ip(namespace: string, command: string): Promise<string> {
  return runOrThrow("nsenter", [`--net=/run/netns/${namespace}`, "ip", ...command.split(" ")]);
}
