import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { eventually } from "@cilium-ts/testing";
import { Kubectl } from "./kubectl.ts";
import { type RunningServer, startProgram } from "./program.ts";

// A real, unmodified kubectl against the real program: what a user does, with the words that the user sees.

const folder = mkdtempSync(join(tmpdir(), "cilium-ts-kubectl-"));
let server: RunningServer;
let kubectl: Kubectl;

before(async () => {
  server = await startProgram(join(folder, "state"));
  kubectl = await Kubectl.open(server.kubeconfig, join(folder, "cache"));
});
after(async () => {
  await server.stop("SIGTERM");
  rmSync(folder, { recursive: true, force: true });
});

const run: Kubectl["run"] = (...args) => kubectl.run(...args);
const succeed: Kubectl["succeed"] = (...args) => kubectl.succeed(...args);

const pod = `
apiVersion: v1
kind: Pod
metadata: { name: web, namespace: demo, labels: { app: web } }
spec:
  containers:
    - name: main
      image: nginx:1.25
      ports: [{ containerPort: 80 }]
`;
const policy = (rule: string) => `
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: { name: allow-web, namespace: demo }
spec:
  endpointSelector: { matchLabels: { app: web } }
  ingress: [${rule}]
`;
const allowClient = '{ fromEndpoints: [{ matchLabels: { app: client } }], toPorts: [{ ports: [{ port: "80", protocol: TCP }] }] }';

test("create, apply, get, describe, label, patch, edit", async () => {
  assert.equal(await succeed("create ns demo"), "namespace/demo created\n");
  assert.equal(
    await succeed("apply -f -", `${pod}---${policy(allowClient)}`),
    "pod/web created\nciliumnetworkpolicy.cilium.io/allow-web created\n",
  );
  assert.equal(await succeed("apply -f -", pod), "pod/web unchanged\n");
  assert.match(
    await succeed("-n demo get pod web -o wide"),
    /NAME +READY +STATUS +RESTARTS +AGE +IP +NODE.*\nweb +0\/1 +Pending +0 +\S+ +<none>/,
  );
  assert.match(await succeed("-n demo get cnp"), /NAME +AGE +VALID\nallow-web/);
  assert.equal(await succeed("-n demo label pod web tier=front"), "pod/web labeled\n");
  assert.equal(await succeed("-n demo get pods -l tier=front -o name"), "pod/web\n");
  assert.equal(
    await succeed('-n demo patch pod web --subresource=status -p {"status":{"phase":"Running","podIP":"10.0.0.1"}}'),
    "pod/web patched\n",
  );
  const described = await succeed("-n demo describe pod web");
  assert.match(described, /Status: +Running\nIP: +10\.0\.0\.1\n/);
  const editor = join(folder, "editor.sh");
  writeFileSync(editor, '#!/bin/sh\nsed -i "s/tier: front/tier: back/" "$1"\n', { mode: 0o755 });
  assert.equal(await succeed("-n demo edit pod web", "", { KUBE_EDITOR: editor }), "pod/web edited\n");
  assert.equal(await succeed("-n demo get pod web -o jsonpath={.metadata.labels.tier}"), "back");
  for (const create of [
    "configmap a --from-literal=x=1",
    "secret generic s --from-literal=p=q",
    "service clusterip svc --tcp=80:8080",
    "serviceaccount bob",
  ]) {
    await succeed(`-n demo create ${create}`);
  }
  assert.equal(await succeed("-n demo get cm,secret,svc,sa -o name"), "configmap/a\nsecret/s\nservice/svc\nserviceaccount/bob\n");
  assert.equal(await succeed("-n demo get secret s -o jsonpath={.data.p}"), Buffer.from("q").toString("base64"));
});

test("server-side apply, its conflicts, and taking over from a client-side apply", async () => {
  assert.equal(await succeed("apply --server-side -f -", pod), "pod/web serverside-applied\n");
  const other = pod.replace("app: web }", "app: other }");
  const refused = await run("apply --server-side --field-manager=other -f -", other);
  assert.match(refused.errors, /Apply failed with 1 conflict: conflict with "kubectl": \.metadata\.labels\.app/);
  assert.equal(await succeed("apply --server-side --field-manager=other --force-conflicts -f -", other), "pod/web serverside-applied\n");
  assert.equal(await succeed("-n demo get pod web -o jsonpath={.metadata.labels.app}"), "other");
});

test("workloads, roles and ingresses are created, scaled, changed and shown", async () => {
  const creations: readonly [string, string][] = [
    ["deployment front --image=nginx:1 --replicas=2", "deployment.apps/front"],
    ["job once --image=busybox:1", "job.batch/once"],
    ["cronjob often --image=busybox:1 --schedule=@hourly", "cronjob.batch/often"],
    ["role reader --verb=get --resource=pods", "role.rbac.authorization.k8s.io/reader"],
    ["rolebinding readers --role=reader --serviceaccount=demo:bob", "rolebinding.rbac.authorization.k8s.io/readers"],
    ["pdb some --selector=app=front --min-available=1", "poddisruptionbudget.policy/some"],
    ["ingress way --class=any --rule=a.example/x=front:80", "ingress.networking.k8s.io/way"],
  ];
  for (const [what, name] of creations) assert.equal(await succeed(`-n demo create ${what}`), `${name} created\n`);
  assert.equal(await succeed("-n demo scale deployment front --replicas=5"), "deployment.apps/front scaled\n");
  const early = await run("-n demo scale deployment front --current-replicas=2 --replicas=1");
  assert.match(early.errors, /Expected replicas to be 2, was 5/);
  assert.equal(await succeed("-n demo set image deployment/front nginx=nginx:2"), "deployment.apps/front image updated\n");
  assert.match(
    await succeed("-n demo get deployment -o wide"),
    /NAME +READY +UP-TO-DATE +AVAILABLE +AGE +CONTAINERS +IMAGES +SELECTOR\nfront +0\/5 +0 +0 +\S+ +nginx +nginx:2 +app=front\n/,
  );
  assert.match(await succeed("-n demo describe deployment front"), /Replicas: +5 desired/);
  assert.match(await succeed("-n demo get ingress"), /NAME +CLASS +HOSTS +ADDRESS +PORTS +AGE\nway +any +a\.example +80/);
  assert.match(await succeed("-n demo get rolebinding -o wide"), /readers +Role\/reader +\S+ +demo\/bob\n/);
});

test("explain, api-resources, api-versions, version", async () => {
  assert.match(await succeed("explain cnp.spec.ingress.fromEntities"), /FIELD: fromEntities <\[\]string>[\s\S]*Well-known peers/);
  assert.match(await succeed("explain pod.spec.containers.ports"), /containerPort\t<integer> -required-/);
  assert.match(await succeed("api-resources"), /ciliumnetworkpolicies +cnp,ciliumnp +cilium\.io\/v2 +true +CiliumNetworkPolicy/);
  assert.match(await succeed("api-versions"), /cilium\.io\/v2alpha1/);
  assert.match(await succeed("version"), /Server Version: v1\.\d+\.\d+/);
});

test("get -w tells changes as they happen", async () => {
  const watching = kubectl.start("-n demo get cm -w --output-watch-events -o name");
  try {
    let output = "";
    watching.stdout?.on("data", (chunk: Buffer) => (output += chunk.toString()));
    await eventually(() => assert.match(output, /configmap\/a/));
    await succeed("-n demo create cm later");
    await succeed("-n demo delete cm later");
    await eventually(() => assert.match(output, /configmap\/later[\s\S]*configmap\/later/));
  } finally {
    watching.kill("SIGKILL");
    await once(watching, "close");
  }
});

const bad: readonly [string, string, RegExp][] = [
  ["malformed YAML", "a: b: c\n  - x", /mapping values are not allowed/],
  ["an unknown field", policy(allowClient).replace("ingress:", "ingres:"), /strict decoding error: unknown field "spec\.ingres"/],
  ["a bad range", policy("{ fromCIDR: [10.0.0.0/33] }"), /spec\.ingress\[0\]\.fromCIDR\[0\]: Invalid value: "10\.0\.0\.0\/33"/],
  [
    "a port of 70000",
    policy(allowClient.replace('"80"', '"70000"')),
    /spec\.ingress\[0\]\.toPorts\[0\]\.ports\[0\]\.port: Invalid value: "70000".*from 0 to 65535/,
  ],
  [
    "an unknown entity",
    policy("{ fromEntities: [martians] }"),
    /spec\.ingress\[0\]\.fromEntities\[0\]: Unsupported value: "martians": supported values: "all"/,
  ],
  [
    "an unknown kind",
    "apiVersion: cilium.io/v2\nkind: Frob\nmetadata: { name: x }",
    /no matches for kind "Frob" in version "cilium\.io\/v2"/,
  ],
  ["a missing namespace", pod.replace("namespace: demo", "namespace: nope"), /namespaces "nope" not found/],
];
for (const [name, input, message] of bad) {
  test(`refused: ${name}; the policy in force stays`, async () => {
    const revision = await succeed("-n demo get cnp allow-web -o jsonpath={.metadata.resourceVersion}");
    const { code, errors } = await run("apply -f -", input);
    assert.equal(code, 1);
    assert.match(errors, message);
    assert.equal(await succeed("-n demo get cnp allow-web -o jsonpath={.metadata.resourceVersion}"), revision);
  });
}

test("everything is there after kill -9, and deleting the namespace takes all of it", async () => {
  const before = await succeed("-n demo get pod,cnp,cm -o name");
  await server.stop("SIGKILL");
  server = await startProgram(join(folder, "state"));
  assert.equal(await succeed("-n demo get pod,cnp,cm -o name"), before);
  assert.match(await succeed("delete ns demo"), /namespace "demo" deleted/);
  assert.equal(await succeed("get cnp,pod -A -o name"), "");
  const late = await run("-n demo create cm late");
  assert.match(late.errors, /namespaces "demo" not found/);
});
