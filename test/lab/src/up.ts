import { join } from "node:path";
import { demoLab } from "./commands.ts";
import { Lab, type LabPod } from "./lab.ts";
import { readLab } from "./read-lab.ts";
import { isRunning } from "./shell.ts";

/** Starts the demonstration: one node, a client and a server, and what to try next. */
export async function up(root: string): Promise<number> {
  if (readLab(demoLab)?.daemons.some(isRunning)) throw new Error("the lab is already up: stop it with sudo ./dev down");
  const lab = await Lab.start({ root, name: demoLab, subnet: 250 });
  const client = await lab.createPod({ name: "client", labels: { app: "client" } });
  const server = await lab.createPod({
    name: "server",
    labels: { app: "server" },
    command: [process.execPath, join(root, "test/lab/src/pod-server.ts"), "8080", "server"],
    ports: [{ name: "http", containerPort: 8080 }],
  });
  console.log(await table(lab, [client, server]));
  console.log(nextSteps(server));
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

function nextSteps(server: LabPod): string {
  return `
The client reaches the server now:     ./dev exec client curl -sS --max-time 2 http://${server.ipv4}:8080/

1. Deny it by a policy, and try again:  ./dev kubectl apply -f test/lab/manifests/deny-server.yaml
2. See the drop:                        ./dev hubble observe --verdict DROPPED
3. Allow the client, and try again:     ./dev kubectl apply -f test/lab/manifests/allow-client.yaml

Stop and remove everything:             sudo ./dev down`;
}
