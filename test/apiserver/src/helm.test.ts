import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ensureHelm, ensureKubectl } from "@cilium-ts/tools/kubectl";
import { type RunningServer, startProgram } from "./program.ts";

// A real, unmodified helm against the real program.

const folder = mkdtempSync(join(tmpdir(), "cilium-ts-helm-"));
const chart = join(folder, "chart");
let server: RunningServer;
let programs: { readonly helm: string; readonly kubectl: string };

const files: Readonly<Record<string, string>> = {
  "Chart.yaml": "apiVersion: v2\nname: demo\nversion: 0.1.0\n",
  "values.yaml": "replicas: 2\nimage: nginx:1\n",
  "crds/things.yaml": `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: things.example.com }
spec:
  group: example.com
  scope: Namespaced
  names: { kind: Thing, plural: things }
  versions:
    - { name: v1, served: true, storage: true, schema: { openAPIV3Schema: { type: object, x-kubernetes-preserve-unknown-fields: true } } }
`,
  "templates/all.yaml": `
apiVersion: apps/v1
kind: Deployment
metadata: { name: {{ .Release.Name }}-web, labels: { app: web } }
spec:
  replicas: {{ .Values.replicas }}
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: main, image: {{ .Values.image | quote }} }] }
---
apiVersion: v1
kind: Service
metadata: { name: {{ .Release.Name }}-web }
spec: { selector: { app: web }, ports: [{ port: 80 }] }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: { name: {{ .Release.Name }}-reader }
rules: [{ apiGroups: [""], resources: [pods], verbs: [get] }]
---
apiVersion: example.com/v1
kind: Thing
metadata: { name: one }
spec: { version: {{ .Release.Revision }} }
`,
};

before(async () => {
  programs = { helm: await ensureHelm(), kubectl: await ensureKubectl() };
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(chart, name, ".."), { recursive: true });
    writeFileSync(join(chart, name), text);
  }
  server = await startProgram(join(folder, "state"));
});
after(async () => {
  await server.stop("SIGTERM");
  rmSync(folder, { recursive: true, force: true });
});

async function succeed(program: "helm" | "kubectl", flags: string): Promise<string> {
  const own = program === "kubectl" ? ["--cache-dir", join(folder, "kube-cache")] : [];
  const child = spawn(programs[program], ["--kubeconfig", server.kubeconfig, ...own, ...flags.split(" ")], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: "/usr/bin:/bin", HOME: folder },
  });
  let [output, errors] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
  await once(child, "close");
  assert.equal(child.exitCode, 0, `${program} ${flags}: ${errors}`);
  return output;
}

const image = "-n demo get deploy r-web -o jsonpath={.spec.replicas},{.spec.template.spec.containers[0].image}";

test("helm installs, upgrades, rolls back and uninstalls a chart", async () => {
  assert.match(await succeed("helm", `install r ${chart} -n demo --create-namespace`), /STATUS: deployed\nREVISION: 1\n/);
  assert.equal(await succeed("kubectl", image), "2,nginx:1");
  assert.equal(await succeed("kubectl", "-n demo get things -o name"), "thing.example.com/one\n");
  assert.match(await succeed("helm", `upgrade r ${chart} -n demo --set replicas=3,image=nginx:2`), /REVISION: 2\n/);
  assert.equal(await succeed("kubectl", image), "3,nginx:2");
  assert.match(await succeed("helm", "list -n demo"), /^NAME[^\n]*\nr\s+demo\s+2\s[^\n]*deployed\s+demo-0\.1\.0/);
  await succeed("helm", "rollback r 1 -n demo");
  assert.equal(await succeed("kubectl", image), "2,nginx:1");
  assert.match(await succeed("helm", "history r -n demo"), /superseded[\s\S]*superseded[\s\S]*deployed[^\n]*Rollback to 1/);
  assert.equal(await succeed("helm", "uninstall r -n demo"), 'release "r" uninstalled\n');
  assert.equal(await succeed("kubectl", "-n demo get deploy,svc,role,secret,things -o name"), "");
});
