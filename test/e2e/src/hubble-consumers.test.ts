import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Lab, type LabPod, ownPlace, runOrThrow, runToEnd } from "@cilium-ts/lab";
import { createObserverClients, flowpb } from "@cilium-ts/observer";
import { eventually, requireKernel } from "@cilium-ts/testing";

const root = join(import.meta.dirname, "../../..");
const { name, subnet } = ownPlace("e");
const patience = { deadlineMs: 20_000, intervalMs: 300 };
const denyAll = {
  apiVersion: "cilium.io/v2",
  kind: "CiliumNetworkPolicy",
  metadata: { name: "nobody", namespace: "default" },
  spec: { endpointSelector: { matchLabels: { app: "server" } }, ingressDeny: [{ fromEntities: ["all"] }] },
};

/** One agent that counts, exports and reports what real packets do. */
describe("flows of a node beside its clients", { skip: requireKernel() }, () => {
  const folder = mkdtempSync(join(tmpdir(), "cilium-ts-consumers-"));
  let lab: Lab;
  let client: LabPod;
  let server: LabPod;

  const knock = (): Promise<unknown> =>
    runToEnd("nsenter", [`--net=${client.namespacePath}`, "curl", "--silent", "--max-time", "1", `http://${server.ipv4}:8080`]);
  const metrics = (): Promise<string> =>
    runOrThrow("nsenter", [`--net=${lab.node().namespacePath}`, "curl", "--silent", "--show-error", "http://127.0.0.1:9965/metrics"]);

  before(async () => {
    const agentArguments = [
      ...["--hubble-metrics", "drop:sourceContext=pod;destinationContext=pod flow port-distribution tcp"],
      ...[
        "--hubble-metrics-server",
        "127.0.0.1:9965",
        "--hubble-drop-events",
        "true",
        "--hubble-drop-events-reasons",
        "policy_deny,policy_denied",
      ],
      ...["--hubble-export-file-path", join(folder, "events.log"), "--hubble-export-allowlist", '{"verdict":["DROPPED"]}'],
    ];
    lab = await Lab.start({ root, name, subnet, agentArguments });
    client = await lab.createPod({ name: "client", labels: { app: "client" } });
    server = await lab.createPod({ name: "server", labels: { app: "server" } });
    await lab.kubectl.run(["apply", "-f", "-"], JSON.stringify(denyAll));
  });
  after(async () => {
    await lab?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });

  test("a drop is counted by the pods it is between", async () => {
    await eventually(async () => {
      await knock();
      assert.match(
        await metrics(),
        /hubble_drop_total\{source="default\/client",destination="default\/server",reason="POLICY_DENY",protocol="TCP"\} [1-9]/,
      );
    }, patience);
    const text = await metrics();
    assert.match(text, /hubble_drop_bytes_total\{[^}]*\} [1-9]\d/);
    assert.match(text, /hubble_flows_processed_total\{protocol="TCP",type="Drop",subtype="",verdict="DROPPED"\} [1-9]/);
  });

  test("it is a line of the export, and an event of the pod that did not get it", async () => {
    await eventually(async () => {
      await knock();
      const lines = readFileSync(join(folder, "events.log"), "utf8").trimEnd().split("\n");
      const flows = lines.map((line) => JSON.parse(line).flow);
      const drop = flows.find(({ event_type: { type }, destination }) => type === 1 && destination?.pod_name === "server");
      assert.deepEqual(
        [drop?.verdict, drop?.drop_reason_desc, drop?.traffic_direction, drop?.source?.pod_name, drop?.interface?.name?.slice(0, 3)],
        ["DROPPED", "POLICY_DENY", "INGRESS", "client", "lxc"],
      );
      const events = JSON.parse(await lab.kubectl.run(["get", "events", "-o", "json"])).items as Array<{ reason: string; message: string }>;
      const told = events.filter(({ reason }) => reason === "PacketDrop").map(({ message }) => message);
      assert.ok(
        told.some((message) => /^Incoming packet dropped \(policy_deny\) from default\/client .* TCP\/8080$/.test(message)),
        told.join("\n"),
      );
    }, patience);
  });

  test("what the agent did is told by its Hubble server", async () => {
    const { observer } = createObserverClients(`unix://${lab.node().hubbleSocketPath}`);
    const events: string[] = [];
    for await (const { agentEvent, nodeName } of observer.getAgentEvents({})) {
      assert.equal(nodeName, "default/node1");
      const { case: kind, value } = agentEvent?.notification ?? { case: undefined, value: undefined };
      const type = flowpb.AgentEventType[agentEvent?.type ?? 0];
      events.push(kind === "endpointUpdate" ? `${type} ${value.namespace}/${value.podName}` : String(type));
    }
    assert.equal(events[0], "AGENT_STARTED");
    for (const wanted of ["ENDPOINT_CREATED default/client", "ENDPOINT_CREATED default/server", "POLICY_UPDATED", "IPCACHE_UPSERTED"])
      assert.ok(events.includes(wanted), `no ${wanted} in ${events.join(", ")}`);
  });
});
