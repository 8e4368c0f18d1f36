import { join } from "node:path";
import { Lab, type LabPod, ownPlace, runOrThrow } from "@cilium-ts/lab";
import type { AskedNames, DnsLoad } from "./dns-role.ts";
import { cpuSeconds } from "./process-usage.ts";
import { createRow, type Row } from "./report.ts";

const policy = {
  apiVersion: "cilium.io/v2",
  kind: "CiliumNetworkPolicy",
  metadata: { name: "names", namespace: "default" },
  spec: {
    endpointSelector: { matchLabels: { app: "judged" } },
    egress: [
      {
        toEndpoints: [{ matchLabels: { app: "names" } }],
        toPorts: [{ ports: [{ port: "53", protocol: "ANY" }], rules: { dns: [{ matchPattern: "*.bench" }] } }],
      },
      { toFQDNs: [{ matchPattern: "*.bench" }] },
    ],
  },
};

const manyAtOnce = 64;

/** What it costs that the agent stands between pods and their name server, which is dnsmasq on the same node; the peer asks it directly. */
export async function benchDns(root: string, { repeats, seconds }: { repeats: number; seconds: number }): Promise<Row[]> {
  await using lab = await Lab.start({ root, ...ownPlace("b") });
  const names = await lab.createPod({ name: "names", labels: { app: "names" } });
  const server = ["--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user=root", "--no-resolv", "--no-hosts"];
  lab.startInPod("default/names", "names", ["dnsmasq", ...server, "--bind-interfaces", "--synth-domain=bench,198.18.0.0/15"]);
  await lab.kubectl.apply(policy);
  const pods = {
    judged: await lab.createPod({ name: "judged", labels: { app: "judged" } }),
    direct: await lab.createPod({ name: "direct" }),
  };
  let first = 0;
  const load = async (pod: LabPod, kind: AskedNames, count: number): Promise<DnsLoad> => {
    first += 4_096; // Names that nobody has asked for yet.
    const args = [names.ipv4, kind, String(first % 65_536), String(count), String(seconds)];
    const role = join(root, "test/bench/src/dns-role.ts");
    return JSON.parse(await runOrThrow("nsenter", [`--net=${pod.namespacePath}`, process.execPath, role, ...args]));
  };
  const agent = lab.daemon("agent-node1").pid;
  const rows: Row[] = [];
  for (const [name, kind, count, unit, read] of [
    ["queries", "same", manyAtOnce, "1/s", ({ perSecond }: DnsLoad) => perSecond],
    ["latency-p50", "same", 1, "ms", ({ p50Ms }: DnsLoad) => p50Ms],
    ["latency-p99", "same", 1, "ms", ({ p99Ms }: DnsLoad) => p99Ms],
    ["latency-of-new-addresses-p50", "new", 1, "ms", ({ p50Ms }: DnsLoad) => p50Ms],
  ] as const) {
    console.error(`dev bench dns: ${name}`);
    const [ours, direct, cpu]: number[][] = [[], [], []];
    for (let repeat = 0; repeat < repeats; repeat += 1) {
      const before = cpuSeconds(agent);
      const judged = await load(pods.judged, kind, count);
      cpu?.push(((cpuSeconds(agent) - before) / (judged.perSecond * seconds)) * 1e6);
      ours?.push(read(judged));
      direct?.push(read(await load(pods.direct, kind, count)));
    }
    rows.push(createRow({ name, unit, ours: ours ?? [], peers: { direct: direct ?? [] } }));
    if (name === "queries") rows.push(createRow({ name: "agent-cpu-of-a-query", unit: "µs", ours: cpu ?? [] }));
  }
  return rows;
}
