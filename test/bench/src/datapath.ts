import { type Daemon, Lab, startDaemon, stopDaemon } from "@cilium-ts/lab";
import { ensureNetperf, measure, type NetperfTest, netperfPorts } from "./netperf.ts";
import { createRow, type Row, type Samples } from "./report.ts";
import { openBridgeWithNftables, openVethPair, type Topology } from "./topologies.ts";

/** Cilium with policy and Hubble on, as a ratio to a bare veth pair on a machine of this kind (docs/decisions has the source). */
const plan: ReadonlyArray<{ test: NetperfTest; unit: string; aim: number; incumbentRatio: number }> = [
  { test: "tcp-stream", unit: "Mbit/s", aim: 0.97, incumbentRatio: 0.95 },
  { test: "tcp-rr", unit: "1/s", aim: 0.92, incumbentRatio: 0.85 },
  { test: "tcp-crr", unit: "1/s", aim: 0.82, incumbentRatio: 0.43 },
  { test: "udp-pps", unit: "packets/s", aim: 0.88, incumbentRatio: 0.72 },
];

const policy = {
  apiVersion: "cilium.io/v2",
  kind: "CiliumNetworkPolicy",
  metadata: { name: "bench", namespace: "default" },
  spec: {
    endpointSelector: { matchLabels: { app: "bench-server" } },
    ingress: [
      {
        fromEndpoints: [{ matchLabels: { app: "bench-client" } }],
        toPorts: [
          {
            ports: [
              { port: String(netperfPorts.control), endPort: netperfPorts.transfer, protocol: "TCP" },
              { port: String(netperfPorts.transfer), protocol: "UDP" },
            ],
          },
        ],
      },
    ],
  },
};

export async function benchDatapath(root: string, options: { repeats: number; seconds: number }): Promise<Row[]> {
  const programs = await ensureNetperf(root);
  await using stack = new AsyncDisposableStack();
  const ours = stack.use(await openOurs(root));
  const topologies = [ours, stack.use(await openVethPair("ctb")), stack.use(await openBridgeWithNftables("ctb"))];
  const servers: Daemon[] = [];
  stack.defer(async () => {
    for (const server of servers) await stopDaemon(server, { graceMs: 500 });
  });
  for (const topology of topologies) servers.push(startServer(topology, programs.netserver));
  for (const topology of topologies) await waitForServer(programs, topology);

  const values = new Map<string, number[]>();
  for (let repeat = 0; repeat < options.repeats; repeat += 1) {
    for (const { test } of plan) {
      // Another one goes first each time, so that a drift of the machine favours nobody.
      for (let turn = 0; turn < topologies.length; turn += 1) {
        const topology = topologies[(turn + repeat) % topologies.length];
        if (topology === undefined) continue;
        const { clientNamespacePath, serverAddress } = topology;
        const value = await measure({ programs, test, clientNamespacePath, serverAddress, seconds: options.seconds });
        const key = `${test} ${topology.name}`;
        values.set(key, [...(values.get(key) ?? []), value]);
      }
    }
    console.error(`dev bench datapath: round ${repeat + 1} of ${options.repeats}`);
  }
  return plan.map(({ test, unit, aim, incumbentRatio }) => {
    const samples: Samples = {
      name: test,
      unit,
      ours: values.get(`${test} ${ours.name}`) ?? [],
      peers: { veth: values.get(`${test} veth`) ?? [], "bridge-nft": values.get(`${test} bridge-nft`) ?? [] },
      aim: { of: "veth", better: "higher", at: aim },
      incumbent: incumbentRatio,
    };
    return createRow(samples);
  });
}

/** Two pods of a real node, with a policy between them and Hubble on, as it is by default. */
async function openOurs(root: string): Promise<Topology> {
  const lab = await Lab.start({ root, name: "bench", subnet: 249 });
  try {
    await lab.kubectl.apply(policy);
    const client = await lab.createPod({ name: "client", labels: { app: "bench-client" } });
    const server = await lab.createPod({ name: "server", labels: { app: "bench-server" } });
    return {
      name: "cilium-ts",
      clientNamespacePath: client.namespacePath,
      serverNamespacePath: server.namespacePath,
      serverAddress: server.ipv4,
      [Symbol.asyncDispose]: () => lab[Symbol.asyncDispose](),
    };
  } catch (cause) {
    await lab[Symbol.asyncDispose]();
    throw cause;
  }
}

function startServer(topology: Topology, netserver: string): Daemon {
  const args = [`--net=${topology.serverNamespacePath}`, netserver, "-D", "-p", String(netperfPorts.control)];
  return startDaemon({ name: `netserver ${topology.name}`, command: "nsenter", args, logPath: "/dev/null" });
}

async function waitForServer(programs: Parameters<typeof measure>[0]["programs"], topology: Topology): Promise<void> {
  const { clientNamespacePath, serverAddress } = topology;
  for (let attempt = 0; ; attempt += 1) {
    try {
      await measure({ programs, test: "tcp-rr", clientNamespacePath, serverAddress, seconds: 1 });
      return;
    } catch (cause) {
      if (attempt >= 5) throw new Error(`no traffic passes between the ends of ${topology.name}`, { cause });
    }
  }
}
