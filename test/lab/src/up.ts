import { join } from "node:path";
import { parseArgs } from "node:util";
import { demoLab } from "./commands.ts";
import { Lab, type LabIpam, type LabPod, labIpams } from "./lab.ts";
import { readLab } from "./read-lab.ts";
import { isRunning } from "./shell.ts";

export interface UpOptions {
  readonly nodes: number;
  readonly routing: "tunnel" | "native";
  readonly ipam: LabIpam;
  readonly store: "sqlite" | "etcd";
}

/** Throws, naming the option, for what cannot be. */
export function parseUp(args: readonly string[]): UpOptions {
  const options = {
    nodes: { type: "string", default: "1" },
    routing: { type: "string", default: "tunnel" },
    ipam: { type: "string", default: "cluster-pool" },
    store: { type: "string", default: "sqlite" },
  } as const;
  const { values } = parseArgs({ args: [...args], options });
  const nodes = Number(values.nodes);
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > nodesMax)
    throw new Error(`--nodes is a whole number from 1 to ${nodesMax}, not "${values.nodes}"`);
  const { routing } = values;
  if (routing !== "tunnel" && routing !== "native") throw new Error(`--routing is tunnel or native, not "${routing}"`);
  const ipam = labIpams.find((mode) => mode === values.ipam);
  if (ipam === undefined) throw new Error(`--ipam is ${labIpams.join(", ")}, not "${values.ipam}"`);
  const { store } = values;
  if (store !== "sqlite" && store !== "etcd") throw new Error(`--store is sqlite or etcd, not "${store}"`);
  return { nodes, routing, ipam, store };
}

/** Each node is an agent of 110 MB. */
const nodesMax = 10;

/** Starts the demonstration: nodes, a client on the first and a server on the last, and what to try next. */
export async function up(root: string, options: UpOptions): Promise<number> {
  if (readLab(demoLab)?.daemons.some(isRunning)) throw new Error("the lab is already up: stop it with sudo ./dev down");
  const lab = await Lab.start({
    root,
    name: demoLab,
    subnet: 250,
    relay: true,
    ui: true,
    kubelet: true,
    agentArguments: ["--enable-bpf-masquerade", "true"],
    ...options,
  });
  await lab.addWorld();
  const client = await lab.createPod({ name: "client", labels: { app: "client" } });
  const server = await lab.createPod({
    name: "server",
    labels: { app: "server" },
    node: `node${options.nodes}`,
    command: [process.execPath, join(root, "test/lab/src/pod-server.ts"), "8080", "server"],
    ports: [{ name: "http", containerPort: 8080 }],
  });
  console.log(await table(lab, [client, server]));
  console.log(nextSteps(lab, server));
  return 0;
}

async function table(lab: Lab, pods: readonly LabPod[]): Promise<string> {
  const rows = [["POD", "NODE", "IPV4", "IPV6", "IDENTITY"]];
  for (const pod of pods) {
    const path = ["get", "ciliumendpoint", "-n", pod.namespace, pod.name, "-o", "jsonpath={.status.identity.id}"];
    let identity = "";
    await lab.waitFor(`the CiliumEndpoint of ${pod.name}`, async () => {
      identity = (await lab.kubectl.run(path)).trim();
      if (identity === "") throw new Error("no identity yet");
    });
    rows.push([`${pod.namespace}/${pod.name}`, pod.node, pod.ipv4, pod.ipv6, identity]);
  }
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function nextSteps(lab: Lab, server: LabPod): string {
  return `
The client reaches the server now:     ./dev exec client curl -sS --max-time 2 http://${server.ipv4}:8080/

1. Deny it by a policy, and try again:  ./dev kubectl apply -f test/lab/manifests/deny-server.yaml
2. See the drop:                        ./dev hubble observe --verdict DROPPED
3. Allow the client, and try again:     ./dev kubectl apply -f test/lab/manifests/allow-client.yaml

The service map, in a browser here:     ${lab.uiUrl}

Stop and remove everything:             sudo ./dev down`;
}
