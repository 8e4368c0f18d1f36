import { type Datapath, type DatapathDevices, type DatapathOptions, datapathDefaults, openDatapath } from "@cilium-ts/datapath";
import { parseAddress } from "@cilium-ts/net";
import type { Netlink } from "@cilium-ts/netlink";
import type { Target } from "@cilium-ts/state";
import type { RemoteRoute } from "../cluster/remote-nodes.ts";
import type { NodePool } from "../ipam/node-pool.ts";
import type { AgentOptions } from "../settings.ts";
import type { World } from "../world.ts";
import { findDirectDevice } from "./direct-device.ts";
import { applyNodeNetwork, findUplinkMtu, type PodMtu, podMtu } from "./node-network.ts";
import { OwnRoutes } from "./own-routes.ts";
import { applyProxyRoutes, removeProxyRoutes } from "./proxy-routes.ts";
import { createRemoteRoutes } from "./remote-routes.ts";
import { openTunnel, removeTunnel } from "./tunnel.ts";

/** The node's own part of the pods' network: its datapath, its devices, and the way to other nodes. Closing it leaves all of it as it is. */
export interface NodeNetwork extends Disposable {
  readonly datapath: Datapath;
  /** Those of ours that run programs whatever else the node does. */
  readonly devices: DatapathDevices;
  readonly mtu: PodMtu;
  /** Of pod CIDRs that are ours, to where nobody is. */
  readonly ownRoutes: OwnRoutes;
  /** The node has these addresses: what it sends through the tunnel comes from the one that others know its pods behind. */
  tunnelFrom(underlay: readonly string[]): void;
  /** Routes of the node's own stack to the pods of other nodes. */
  readonly remoteRoutes: Target<string, RemoteRoute>;
}

export async function openNodeNetwork(world: World, netlink: Netlink, options: AgentOptions, pool: NodePool): Promise<NodeNetwork> {
  const { kernel } = world;
  const { routerIPv4, routerIPv6 } = pool;
  const { routingMode: mode, tunnelPort: port } = options;
  const uplinkMtu = await findUplinkMtu(netlink);
  const mtu = podMtu(options.mtu === 0 ? uplinkMtu : options.mtu, mode);
  if (mode === "native") await removeTunnel(netlink);
  const tunnelIfindex = mode === "tunnel" ? await openTunnel({ kernel, netlink, port, mtu: uplinkMtu }) : 0;
  const directRoutingIfindex = mode === "native" ? await findDirectDevice(netlink, options.directRoutingDevice) : 0;
  using owned = new DisposableStack();
  const podPrefixes = pool.prefixes();
  const network = { kernel, netlink, routerIPv4, routerIPv6, podPrefixes, mtu: mtu.route };
  const { hostDevice, proxyDevice } = await applyNodeNetwork(network);
  await (options.dns.enabled ? applyProxyRoutes(netlink) : removeProxyRoutes(netlink));
  const proxyIfindex = options.dns.enabled ? proxyDevice : 0;
  const ways = { tunnelIfindex, tunnelMtu: mtu.route, directRoutingIfindex, proxyIfindex };
  const datapath = owned.use(openDatapath(kernel, datapathOptions(world, options, pool, ways)));
  const native = directRoutingIfindex === 0 ? [] : [directRoutingIfindex];
  const proxy = proxyIfindex === 0 ? undefined : proxyIfindex;
  const devices = { proxy, ...(mode === "native" ? { native } : { vxlan: tunnelIfindex, host: hostDevice }) };
  // Else there are more, which are followed as they come and go.
  if (!options.masquerade && !options.hostFirewall) datapath.deviceLinks.apply(devices);
  const remoteRoutes = createRemoteRoutes({ netlink, mode, routerIPv4, routerIPv6, hostDevice, mtu: mtu.route });
  const ownRoutes = new OwnRoutes(netlink);
  ownRoutes.set(podPrefixes);
  ownRoutes.table.markSynced("ipam");
  owned.defer(pool.watchPrefixes(() => ownRoutes.set(pool.prefixes())));
  const held = owned.move();
  const tunnelFrom = (underlay: readonly string[]): void => {
    const address = underlay.map(parseAddress).find((candidate) => candidate?.length === 4);
    if (tunnelIfindex !== 0 && address !== undefined) datapath.setTunnelSource(address);
  };
  return { datapath, devices, mtu, ownRoutes, remoteRoutes, tunnelFrom, [Symbol.dispose]: () => held.dispose() };
}

function datapathOptions(
  { objects }: World,
  options: AgentOptions,
  { routerIPv4, routerIPv6 }: NodePool,
  ways: Pick<DatapathOptions, "tunnelIfindex" | "tunnelMtu" | "directRoutingIfindex" | "proxyIfindex">,
): DatapathOptions {
  const { bpfRoot, traceIntervalS, conntrackEntriesMax, masquerade, hostFirewall, ipTraceOption } = options;
  const tunnelPort = ways.tunnelIfindex === 0 ? 0 : options.tunnelPort;
  const chosen = { objects, bpfRoot, routerIPv4, routerIPv6, traceIntervalS, conntrackEntriesMax, masquerade, hostFirewall, ipTraceOption };
  return { ...datapathDefaults, ...chosen, ...ways, tunnelPort };
}
