import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { type KubernetesClient, listAt, openKubernetes, recordAt, resources, textAt, textsAt } from "@cilium-ts/kubernetes";
import { eventually } from "@cilium-ts/testing";
import { ensureKubectl } from "@cilium-ts/tools/kubectl";
import { Program } from "./program.ts";

// The shipped programs: the embedded API server on its file, and operators that are killed and stopped.

const { ciliumNodes, leases } = resources;
const folder = mkdtempSync(join(tmpdir(), "cilium-ts-operator-"));
const kubeconfig = join(folder, "admin.kubeconfig");
const never = new AbortController().signal;
const wait = { deadlineMs: 30_000 };
const quickElection = {
  "leader-election-lease-duration": "3s",
  "leader-election-renew-deadline": "2s",
  "leader-election-retry-period": "200ms",
};
let server: Program;
let client: KubernetesClient;
let kubectl: string;

before(async () => {
  kubectl = await ensureKubectl();
  server = new Program("apiserver", ["--state-dir", folder, "--listen", "127.0.0.1:0"]);
  await server.says(/"msg":"serving"/);
  client = await openKubernetes({ kubeconfigPath: kubeconfig });
});
after(async () => {
  await client?.[Symbol.asyncDispose]();
  await server.end("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

function startOperator(settings: Readonly<Record<string, string>> = {}): Program {
  const given = {
    "k8s-kubeconfig-path": kubeconfig,
    "operator-api-serve-addr": "",
    "enable-metrics": "false",
    ...quickElection,
    ...settings,
  };
  return new Program(
    "operator",
    Object.entries(given).flatMap(([name, value]) => [`--${name}`, value]),
  );
}

async function run(flags: string): Promise<string> {
  const { stdout } = await promisify(execFile)(kubectl, [
    "--kubeconfig",
    kubeconfig,
    "--cache-dir",
    join(folder, "cache"),
    ...flags.split(" "),
  ]);
  return stdout;
}

async function createNodes(prefix: string, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1)
    await client.create(ciliumNodes, { metadata: { name: `${prefix}-${index}` }, spec: {} }, { signal: never });
}

/** The pod CIDRs of every node; none may be there twice. */
async function givenPodCIDRs(): Promise<readonly (readonly string[])[]> {
  const { items } = await client.list(ciliumNodes, { signal: never });
  const given = items.map((object) => textsAt(recordAt(recordAt(object, "spec"), "ipam"), "podCIDRs"));
  assert.equal(new Set(given.flat()).size, given.flat().length, "a pod CIDR was given twice");
  return given;
}

async function everyNodeHasPodCIDRs(): Promise<void> {
  await eventually(async () => {
    const given = await givenPodCIDRs();
    assert.deepEqual(
      given.filter((podCIDRs) => podCIDRs.length !== 2),
      [],
    );
  }, wait);
}

async function holder(): Promise<string> {
  const name = { namespace: "kube-system", name: "cilium-operator-resource-lock" };
  return textAt((await client.get(leases, name, { signal: never }))?.spec, "holderIdentity");
}

test("of two operators one leads, and after kill -9 in the middle of its work the other goes on, giving nothing twice", async () => {
  await using one = startOperator();
  await one.says(/"this operator leads"/);
  await using other = startOperator();
  await other.says(/"this operator follows /);
  const creating = createNodes("a", 60);
  await one.says(/node a-\d+ has the pod CIDRs/);
  one.process.kill("SIGKILL");
  await once(one.process, "exit");
  await other.says(/"this operator leads"/);
  await creating;
  await everyNodeHasPodCIDRs();
  assert.equal(await other.end("SIGTERM"), 0);
  assert.equal(await holder(), "", "it let the lease go");
});

test("a leader that stood still for longer than its lease steps down when it goes on, and gives nothing that another gave", async () => {
  await using sleeper = startOperator();
  await sleeper.says(/"this operator leads"/);
  await using other = startOperator();
  await other.says(/"this operator follows /);
  sleeper.process.kill("SIGSTOP");
  await createNodes("b", 10);
  await other.says(/"this operator leads"/);
  await createNodes("c", 10);
  sleeper.process.kill("SIGCONT");
  await sleeper.says(/"this operator no longer leads: /);
  await sleeper.says(/"this operator follows /);
  await everyNodeHasPodCIDRs();
  assert.doesNotMatch(sleeper.output, /node [bc]-\d+ has/);
});

test("kubectl shows what the operator has done", async () => {
  await using operator = startOperator({ "validate-network-policy": "true" });
  await operator.says(/"this operator leads"/);
  const spec = { endpointSelector: {}, ingress: [{ fromEntities: ["cluster"] }] };
  const policy = { metadata: { namespace: "default", name: "shown" }, spec };
  await client.create(resources.ciliumNetworkPolicies, policy, { signal: never });
  await eventually(async () => assert.match(await run("get cnp shown"), /NAME +AGE +VALID\nshown +\S+ +True\n/), wait);
  assert.match(
    await run("get crd ciliumnodes.cilium.io -o jsonpath={.metadata.labels}"),
    /"io\.cilium\.k8s\.crd\.schema\.version":"1\.0\.0"/,
  );
  assert.match(
    await run("-n kube-system get lease cilium-operator-resource-lock"),
    /NAME +HOLDER +AGE\ncilium-operator-resource-lock +\S+_[0-9a-f-]{36} /,
  );
  const { items } = await client.list(ciliumNodes, { signal: never });
  assert.ok(items.length > 0 && items.every((object) => listAt(recordAt(recordAt(object, "spec"), "ipam"), "podCIDRs").length === 2));
});

test("health and metrics are served where they are expected", async () => {
  const ports = {
    "operator-api-serve-addr": "127.0.0.1:19234",
    "enable-metrics": "true",
    "operator-prometheus-serve-addr": "127.0.0.1:19963",
  };
  await using operator = startOperator(ports);
  await operator.says(/"this operator leads"/);
  const health = await fetch("http://127.0.0.1:19234/healthz");
  assert.deepEqual([health.status, await health.text()], [200, "ok"]);
  const metrics = await (await fetch("http://127.0.0.1:19963/metrics")).text();
  assert.match(metrics, /^cilium_operator_leader_election_master_status 1$/m);
  await using second = startOperator(ports);
  await second.says(/cilium-operator-generic: the API cannot be served on 127\.0\.0\.1:19234; choose another address: .*EADDRINUSE/);
  await eventually(() => assert.equal(second.process.exitCode, 1), wait);
});

for (const [flags, code, said] of [
  [["--help"], 0, /Usage: cilium-operator-generic \[FLAGS\]/],
  [["--ipam", "eni"], 2, /cilium-operator-generic: --ipam is one of cluster-pool, kubernetes, multi-pool, not "eni"/],
  [[], 1, /cilium-operator-generic: there is no API server: name one with --k8s-kubeconfig-path, or run in a pod/],
  [["--k8s-kubeconfig-path", "/nonexistent"], 1, /cilium-operator-generic: kubeconfig \/nonexistent: cannot be read: ENOENT/],
] as const) {
  test(`the program with ${flags.join(" ") || "no flags"} ends with ${code} and one clear sentence`, async () => {
    await using program = new Program("operator", ["--operator-api-serve-addr", "", "--enable-metrics", "false", ...flags]);
    await program.says(said);
    await eventually(() => assert.equal(program.process.exitCode, code), wait);
  });
}
