import { runOrThrow, runToEnd } from "@cilium-ts/lab";

/** Two ends between which traffic is measured. */
export interface Topology extends AsyncDisposable {
  readonly name: string;
  readonly clientNamespacePath: string;
  readonly serverNamespacePath: string;
  readonly serverAddress: string;
}

const path = (namespace: string): string => `/run/netns/${namespace}`;

async function addNamespace(name: string): Promise<void> {
  await runOrThrow("ip", ["netns", "add", name]);
  await inside(name, "link", "set", "lo", "up");
}

function inside(namespace: string, ...args: string[]): Promise<string> {
  return runOrThrow("nsenter", [`--net=${path(namespace)}`, "ip", ...args]);
}

async function deleteNamespaces(names: readonly string[]): Promise<void> {
  for (const name of names) await runToEnd("ip", ["netns", "del", name]);
}

/** The limit: two namespaces and nothing between them but a veth pair. */
export async function openVethPair(prefix: string): Promise<Topology> {
  const client = `${prefix}-veth-c`;
  const server = `${prefix}-veth-s`;
  await deleteNamespaces([client, server]);
  await addNamespace(client);
  await addNamespace(server);
  await inside(client, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", server);
  await inside(client, "address", "add", "192.0.2.1/24", "dev", "eth0");
  await inside(server, "address", "add", "192.0.2.2/24", "dev", "eth0");
  for (const namespace of [client, server]) await inside(namespace, "link", "set", "eth0", "up");
  return {
    name: "veth",
    clientNamespacePath: path(client),
    serverNamespacePath: path(server),
    serverAddress: "192.0.2.2",
    [Symbol.asyncDispose]: () => deleteNamespaces([client, server]),
  };
}

const bridgeRules = `
table inet filter {
  chain forward {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    ct state new ip saddr 192.0.2.1 ip daddr 192.0.2.2 tcp dport 12865-12866 accept
    ct state new ip saddr 192.0.2.1 ip daddr 192.0.2.2 udp dport 12866 accept
    counter drop
  }
}
`;

/** What people have without us: a bridge, and a firewall that knows connections. */
export async function openBridgeWithNftables(prefix: string): Promise<Topology> {
  const client = `${prefix}-br-c`;
  const server = `${prefix}-br-s`;
  const bridge = `${prefix}-br`;
  const all = [client, server, bridge];
  await deleteNamespaces(all);
  for (const namespace of all) await addNamespace(namespace);
  await inside(bridge, "link", "add", "br0", "type", "bridge");
  await inside(bridge, "link", "set", "br0", "up");
  for (const [namespace, port, address] of [
    [client, "c0", "192.0.2.1/24"],
    [server, "s0", "192.0.2.2/24"],
  ] as const) {
    await inside(bridge, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", namespace);
    await inside(bridge, "link", "set", port, "master", "br0", "up");
    await inside(namespace, "address", "add", address, "dev", "eth0");
    await inside(namespace, "link", "set", "eth0", "up");
  }
  // The firewall sees bridged packets as Kubernetes nodes have it: by br_netfilter, in the inet family.
  await runOrThrow("nsenter", [`--net=${path(bridge)}`, "sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=1"]);
  await runOrThrow("nsenter", [`--net=${path(bridge)}`, "nft", "-f", "-"], { input: bridgeRules });
  return {
    name: "bridge-nft",
    clientNamespacePath: path(client),
    serverNamespacePath: path(server),
    serverAddress: "192.0.2.2",
    [Symbol.asyncDispose]: () => deleteNamespaces(all),
  };
}
