import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { test } from "node:test";
import { FlowRing } from "@cilium-ts/flow";
import { frameRecords, sampleContext, sampleEvents } from "@cilium-ts/flow/testing";
import { startScriptedForward } from "@cilium-ts/kubernetes/testing";
import { startHubble } from "@cilium-ts/observer";
import { run } from "./run.ts";

const service = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "hubble-relay", namespace: "kube-system" },
  spec: { selector: { "k8s-app": "hubble-relay" }, ports: [{ port: 80, targetPort: "grpc" }] },
};

function podOf(name: string, ready: boolean) {
  return {
    metadata: { name, namespace: "kube-system", labels: { "k8s-app": "hubble-relay" } },
    spec: { containers: [{ name: "relay", ports: [{ name: "grpc", containerPort: 4245, protocol: "TCP" }] }] },
    status: { phase: "Running", conditions: [{ type: "Ready", status: ready ? "True" : "False" }] },
  };
}

/** Runs the program against a cluster that has these objects, and whose relay is a server of ours. */
async function hubble(args: string, pods: readonly object[], services: readonly object[] = [service]) {
  const folder = mkdtempSync(join(tmpdir(), "hubble-forward-"));
  const ring = new FlowRing({ capacity: 63, instance: new Uint8Array(9) });
  ring.append(frameRecords(sampleEvents()));
  const tcp = { address: "127.0.0.1:0" };
  await using relay = await startHubble({ socketPath: join(folder, "s"), tcp, ring, context: sampleContext(), version: "0.1.0" });
  await using cluster = await startScriptedForward({
    podPort: () => Number(relay.tcpAddress?.split(":").at(-1)),
    objects: (path) => {
      if (path.includes("/services/hubble-relay")) return services[0];
      return path.includes("/pods?") ? { kind: "PodList", apiVersion: "v1", metadata: { resourceVersion: "1" }, items: pods } : undefined;
    },
  });
  const entry = (name: string, part: string, value: object) => [{ name, [part]: value }];
  writeFileSync(
    join(folder, "kubeconfig"),
    JSON.stringify({
      "current-context": "other",
      contexts: entry("lab", "context", { cluster: "lab", user: "me" }),
      clusters: entry("lab", "cluster", { server: cluster.url }),
      users: entry("me", "user", { token: "secret" }),
    }),
  );
  const told = { out: "", error: "" };
  const collect = (key: keyof typeof told) =>
    new Writable({
      decodeStrings: false,
      write(part, _encoding, done) {
        told[key] += String(part);
        done();
      },
    });
  const world = { stdin: Readable.from([]), stdout: collect("out"), stderr: collect("error"), isTerminal: false };
  const env = { HOME: "/nonexistent", KUBECONFIG: join(folder, "kubeconfig") };
  try {
    const code = await run(args.split(" "), { ...world, env, nowMs: () => Date.now() }, new AbortController().signal);
    return { code, ...told, requests: cluster.requests };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("-P asks the relay of a cluster through its API server: the pod of its service that is ready, and the port that it names", async () => {
  const pods = [podOf("relay-0", false), podOf("relay-1", true)];
  const status = await hubble("status -P --port-forward-port 0 --kube-context lab", pods);
  assert.equal(status.error, "");
  assert.match(status.out, /^Healthcheck \(via 127\.0\.0\.1:[0-9]+\): Ok\n/);
  assert.equal(status.code, 0);
  assert.match(status.requests[0]?.url ?? "", /\/namespaces\/kube-system\/pods\/relay-1\/portforward\?ports=4245$/);
  const flows = await hubble("observe -P --port-forward-port 0 --kube-context lab --last 3", pods);
  assert.deepEqual([flows.code, flows.error, flows.out.trim().split("\n").length], [0, "", 3]);
});

for (const [args, pods, services, message] of [
  ["--kube-context lab", [podOf("relay-0", false)], [service], /no pod of the service kube-system\/hubble-relay is ready/],
  ["--kube-context lab --kube-namespace cilium", [], [], /there is no service cilium\/hubble-relay: is the relay installed/],
  ["", [], [], /contexts: has no "other", only lab/],
  ["--kube-context lab --port-forward-port x", [], [service], /--port-forward-port "x" is no port/],
] as const) {
  test(`-P ${args}: ${message.source}`, async () => {
    const { code, error } = await hubble(`status -P ${args}`.trim(), pods, services);
    assert.equal(code, 1);
    assert.match(error, /^hubble: .+\n$/);
    assert.match(error, message);
  });
}
