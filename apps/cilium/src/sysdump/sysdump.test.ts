import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { strFromU8, unzipSync } from "fflate";
import { type Ran, TestCluster } from "../test-cluster.ts";
import { Archive } from "./archive.ts";
import { redactObject } from "./redact.ts";

const folder = mkdtempSync(join(tmpdir(), "cilium-sysdump-"));
after(() => rmSync(folder, { recursive: true }));

/** The files of an archive, by their names without the folder that all are in. */
function filesIn(path: string): Record<string, string> {
  const entries = Object.entries(unzipSync(readFileSync(path)));
  return Object.fromEntries(entries.map(([name, bytes]) => [name.split("/").slice(1).join("/"), strFromU8(bytes)]));
}

let cluster: TestCluster;
const execProgram = join(folder, "exec");
const cilium = (line: string): Promise<Ran> =>
  cluster.cilium(line, { KUBECONFIG: join(folder, "kubeconfig"), CILIUM_EXEC_PROGRAM: execProgram });

before(async () => {
  cluster = await TestCluster.start(join(folder, "kubeconfig"), writeFileSync);
  await cluster.install();
  // Says what it was asked, has a log, and cannot do one of the commands.
  writeFileSync(execProgram, '#!/bin/sh\n[ "$5" != bpf ] || { echo no maps >&2; exit 1; }\necho "$@"\n', { mode: 0o755 });
  await cluster.create("configMaps", {
    metadata: { namespace: "kube-system", name: "cilium-config" },
    data: { "cluster-name": "east", "kvstore-password": "hunter2" },
  });
  await cluster.pod("default", "web", { managed: true });
});
after(() => cluster[Symbol.asyncDispose]());

test("a dump holds objects, what agents say, and logs; what cannot be had is told", async () => {
  const { code, out, error } = await cilium(`sysdump --output-filename ${join(folder, "dump")}`);
  assert.deepEqual([code, error], [0, ""]);
  assert.match(out, /dump\.zip: \d+ things are not in it, and problems\.txt in it says why\n$/);
  const files = filesIn(join(folder, "dump.zip"));
  assert.match(files["status.txt"] ?? "", /^Cilium: +OK$/m);
  const pods = JSON.parse(files["objects/pods.json"] ?? "");
  assert.ok(pods.items.some(({ metadata }: { metadata: { name: string } }) => metadata.name === "web"));
  assert.ok("objects/ciliumendpoints.json" in files && "objects/ciliumnetworkpolicies.json" in files);
  assert.deepEqual(JSON.parse(files["objects/cilium-config.json"] ?? "").data, { "cluster-name": "east", "kvstore-password": "[removed]" });
  assert.equal(files["agents/node1/status.json"], "kube-system cilium-x cilium-agent cilium-dbg status -o json\n");
  assert.match(files["agents/node1/flows.jsonl"] ?? "", /hubble observe --last 10000/);
  assert.equal(files["logs/cilium-x-main.log"], "kube-system cilium-x main\n");
  assert.match(
    files["problems.txt"] ?? "",
    /^agents\/node1\/bpf-ipcache\.txt: cilium-dbg in kube-system\/cilium-x failed \(1\): no maps$/m,
  );
  assert.equal(
    Object.keys(files).some((name) => name.includes("secrets")),
    false,
  );
});

test("a quick one leaves out what may be large", async () => {
  await cilium(`sysdump --quick --output-filename ${join(folder, "quick")}`);
  assert.equal("agents/node1/flows.jsonl" in filesIn(join(folder, "quick.zip")), false);
});

for (const [line, problem] of [
  ["sysdump --node-list nowhere", /^cilium: --node-list: there is no agent on a node "nowhere"$/],
  ["sysdump --logs-limit-bytes much", /^cilium: --logs-limit-bytes is a whole number/],
  ["sysdump --output-filename /nowhere/x", /^cilium: ENOENT/],
] as const) {
  test(`${line}: one sentence and a failure`, async () => {
    const { code, error } = await cilium(line);
    assert.equal(code, 1);
    assert.match(error.trim(), problem);
  });
}

test("what is secret is removed from objects, and the rest stays", () => {
  const object = redactObject({
    kind: "Pod",
    metadata: { name: "web", annotations: { "kubectl.kubernetes.io/last-applied-configuration": "{}", note: "kept" }, managedFields: [{}] },
    spec: {
      containers: [
        {
          name: "c",
          env: [
            { name: "A", value: "x" },
            { name: "B", valueFrom: { secretKeyRef: { name: "s", key: "k" } } },
          ],
        },
      ],
      volumes: [{ secret: { secretName: "certs" } }],
    },
    data: { clientSecret: "y", API_KEY: "z", host: "h", tokens: 3 },
  });
  assert.deepEqual(object.metadata, { name: "web", annotations: { note: "kept" } });
  const [container] = (object.spec as { containers: { env: { value?: string }[] }[] }).containers;
  assert.equal(container?.env[0]?.value, "[removed]");
  assert.deepEqual(object.data, { clientSecret: "[removed]", API_KEY: "[removed]", host: "h", tokens: 3 });
});

test("an archive that is given up is removed", async () => {
  const path = join(folder, "half.zip");
  const archive = new Archive(path, "half", { fileSizeBytesMax: 10, totalSizeBytesMax: 15 });
  await archive.add("a", "0123");
  await archive.discard();
  assert.equal(existsSync(path), false);
});

test("an archive keeps to its limits, and says what it left out", async () => {
  const archive = new Archive(join(folder, "small.zip"), "small", { fileSizeBytesMax: 10, totalSizeBytesMax: 15 });
  await archive.add("a", "0123456789abcdef");
  await archive.add("b", "0123456789");
  await archive.add("c", "01234");
  await archive.close();
  const files = filesIn(join(folder, "small.zip"));
  assert.deepEqual([files.a, files.b, files.c], ["0123456789", undefined, "01234"]);
  assert.equal(files["problems.txt"]?.trimEnd().split("\n").length, 2);
});
