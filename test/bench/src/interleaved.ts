import { type Daemon, startDaemon, stopDaemon } from "@cilium-ts/lab";
import { ensureNetperf, measure, type NetperfPrograms, type NetperfTest, netperfPorts } from "./netperf.ts";
import type { Topology } from "./topologies.ts";

export interface InterleavedOptions {
  readonly root: string;
  readonly topologies: readonly Topology[];
  readonly tests: readonly NetperfTest[];
  readonly repeats: number;
  /** Of each measurement. */
  readonly seconds: number;
  onRound(round: number): void;
}

/** Values of each test in each topology, all measured in one run and taking turns. */
export async function measureInterleaved(options: InterleavedOptions): Promise<(test: NetperfTest, topology: string) => number[]> {
  const { topologies, tests, repeats, seconds } = options;
  const programs = await ensureNetperf(options.root);
  await using stack = new AsyncDisposableStack();
  for (const topology of topologies) {
    const server = startServer(topology, programs.netserver);
    stack.defer(() => stopDaemon(server, { graceMs: 500 }));
  }
  for (const topology of topologies) await waitForServer(programs, topology);
  const values = new Map<string, number[]>();
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    for (const test of tests) {
      // Another one goes first each time, so that a drift of the machine favours nobody.
      for (let turn = 0; turn < topologies.length; turn += 1) {
        const topology = topologies[(turn + repeat) % topologies.length];
        if (topology === undefined) continue;
        const { clientNamespacePath, serverAddress } = topology;
        const value = await measure({ programs, test, clientNamespacePath, serverAddress, seconds });
        const key = `${test} ${topology.name}`;
        values.set(key, [...(values.get(key) ?? []), value]);
      }
    }
    options.onRound(repeat + 1);
  }
  return (test, topology) => values.get(`${test} ${topology}`) ?? [];
}

function startServer(topology: Topology, netserver: string): Daemon {
  const args = [`--net=${topology.serverNamespacePath}`, netserver, "-D", "-p", String(netperfPorts.control)];
  return startDaemon({ name: `netserver ${topology.name}`, command: "nsenter", args, logPath: "/dev/null" });
}

async function waitForServer(programs: NetperfPrograms, topology: Topology): Promise<void> {
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
