import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { KubernetesObject } from "@cilium-ts/kubernetes";
import { parse, parseAllDocuments } from "yaml";
import { TestCluster } from "../test-cluster.ts";

const folder = mkdtempSync(join(tmpdir(), "cilium-policy-"));
after(() => rmSync(folder, { recursive: true }));
const file = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};

let cluster: TestCluster;
before(async () => {
  cluster = await TestCluster.start(join(folder, "kubeconfig"), writeFileSync);
  await cluster.create("namespaces", { metadata: { name: "shop" } });
  await cluster.create("configMaps", {
    metadata: { namespace: "kube-system", name: "cilium-config" },
    data: { "cluster-name": "east", "enable-host-firewall": "true" },
  });
  await cluster.create("nodes", { metadata: { name: "node1", labels: { zone: "a" } }, spec: { podCIDR: "10.0.1.0/24" } });
  for (const [name, ip] of [
    ["web", "10.0.1.2"],
    ["db", "10.0.1.3"],
    ["cron", "10.0.1.4"],
  ] as const) {
    const spec = { nodeName: "node1", containers: [{ name: "main", image: "x", ports: [{ name: "sql", containerPort: 5432 }] }] };
    await cluster.create("pods", {
      metadata: { namespace: "shop", name, labels: { app: name } },
      spec,
      status: { podIP: ip, phase: "Running" },
    });
  }
  await cluster.create("ciliumNetworkPolicies", allowing("db", "web"));
});
after(() => cluster[Symbol.asyncDispose]());

function allowing(subject: string, peer: string): KubernetesObject {
  return {
    metadata: { namespace: "shop", name: subject },
    spec: {
      endpointSelector: { matchLabels: { app: subject } },
      ingress: [{ fromEndpoints: [{ matchLabels: { app: peer } }], toPorts: [{ ports: [{ port: "sql", protocol: "TCP" }] }] }],
    },
  };
}

function flowLine(from: string, to: string, port: number, more: object = {}): string {
  const end = (name: string): object => ({ namespace: "shop", pod_name: name, labels: labelsOf(name) });
  const l4 = { TCP: { source_port: 40_000, destination_port: port, flags: { SYN: true } } };
  return JSON.stringify({ flow: { verdict: "FORWARDED", source: end(from), destination: end(to), l4, is_reply: false, ...more } });
}

function labelsOf(app: string): string[] {
  const derived = [
    "k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=shop",
    "k8s:io.cilium.k8s.policy.cluster=east",
    "k8s:io.cilium.k8s.policy.serviceaccount=default",
    "k8s:io.kubernetes.pod.namespace=shop",
  ];
  return [`k8s:app=${app}`, ...derived];
}

test("explain says which rule decides, and what would let a dropped packet through", async () => {
  const allowed = await cluster.cilium("policy explain --from shop/web --to shop/db --port 5432");
  assert.deepEqual([allowed.code, allowed.error], [0, ""]);
  assert.match(allowed.out, /^Verdict: allowed \(port 5432\/TCP\)$/m);
  assert.match(allowed.out, /CiliumNetworkPolicy shop\/db at ingress\[0\]\.toPorts\[0\]/);
  const json = await cluster.cilium("policy explain --from app=cron --to 10.0.1.3 --port 5432/tcp -o json");
  const { verdict, ingress } = JSON.parse(json.out);
  assert.deepEqual(
    [verdict, ingress.verdict, ingress.remedy.spec.ingress[0].fromEndpoints[0].matchLabels["k8s:app"]],
    ["dropped", "dropped", "cron"],
  );
  const remedy = await cluster.cilium("policy explain --from 192.0.2.7 --to shop/db --port 80 --remedy");
  assert.deepEqual(parse(remedy.out).spec.ingress[0].fromCIDRSet, [{ cidr: "192.0.2.7/32" }]);
  assert.match((await cluster.cilium("policy explain --from host --to shop/db --port 53/UDP")).out, /^Verdict: allowed/);
});

test("explain knows nodes by name, and the policies about them", async () => {
  const spec = { nodeSelector: { matchLabels: { zone: "a" } }, ingress: [{ fromEntities: ["health"] }] };
  await cluster.create("ciliumClusterwideNetworkPolicies", { metadata: { name: "nodes" }, spec });
  const { out } = await cluster.cilium("policy explain --from shop/web --to node1 --port 22");
  assert.match(out, /dropped at node node1: no ingress rule of the one policy that selects it allows it/);
  const { out: outward } = await cluster.cilium("policy explain --from node1 --to shop/web --port 80");
  assert.match(outward, /everything is allowed at node node1/);
});

test("explain says what is wrong with a question", async () => {
  const ask = async (line: string): Promise<string> => (await cluster.cilium(`policy explain ${line}`)).error;
  assert.match(
    await ask("--from shop/nobody --to shop/db --port 80"),
    /--from: there is no pod shop\/nobody; in shop there are cron, db, web/,
  );
  assert.match(await ask("--from nowhere --to shop/db --port 80"), /--from "nowhere" is none of: NAMESPACE\/POD/);
  assert.match(await ask("--from io.kubernetes.pod.namespace=shop --to shop/db --port 80"), /differ in others/);
  assert.match(await ask("--from host --to shop/db --port 80x"), /--port "80x" is neither PORT nor PORT\/PROTOCOL/);
});

test("what-if lists the flows whose verdict a policy would change, and how many it could not judge", async () => {
  const policy = file("web.yaml", JSON.stringify({ apiVersion: "cilium.io/v2", kind: "CiliumNetworkPolicy", ...allowing("web", "cron") }));
  const flows = [
    flowLine("cron", "web", 5432),
    ...Array(3).fill(flowLine("db", "web", 80)),
    flowLine("web", "db", 5432, { is_reply: true }),
    flowLine("cron", "db", 5432, { verdict: "DROPPED", drop_reason_desc: "POLICY_DENIED" }),
    JSON.stringify({ node_status: {} }),
  ];
  const recorded = file("flows.json", `${flows.join("\n")}\n`);
  const asked = await cluster.cilium(`policy what-if -f ${policy} --flows ${recorded} --exit-code`);
  assert.deepEqual([asked.code, asked.error], [2, ""]);
  assert.match(
    asked.out,
    /^shop\/db +shop\/web +80\/TCP +allowed +dropped +3 +ingress: dropped, no rule of CiliumNetworkPolicy shop\/web allows it$/m,
  );
  assert.match(asked.out, /^6 flows: 3 would get another verdict, 2 the same, 1 could not be judged$/m);
  assert.match(asked.out, /^ {2}1 not judged: an answer: it goes the way of its request$/m);
});

test("what-if takes a policy away, and replaces the one of the same name, of flows on standard input", async () => {
  const input = `${flowLine("cron", "db", 5432, { verdict: "DROPPED", drop_reason_desc: "POLICY_DENIED" })}\n${flowLine("web", "db", 5432)}\n`;
  const changes = async (flags: string): Promise<string[]> => {
    const { out, error } = await cluster.cilium(`policy what-if ${flags} --flows - -o json`, undefined, input);
    assert.equal(error, "");
    return JSON.parse(out).changed.map(({ from, after }: { from: string; after: string }) => `${from} ${after}`);
  };
  assert.deepEqual(await changes("--delete shop/db"), ["shop/cron allowed"]);
  const policy = file("db.yaml", JSON.stringify({ kind: "CiliumNetworkPolicy", ...allowing("db", "cron") }));
  assert.deepEqual(await changes(`-f ${policy}`), ["shop/cron allowed", "shop/web dropped"]);
});

test("what-if refuses what it could only answer wrongly", async () => {
  const refused = async (flags: string, input = ""): Promise<string> => {
    const { code, error } = await cluster.cilium(`policy what-if ${flags}`, undefined, input);
    assert.equal(code, 1);
    return error;
  };
  const bad = file("bad.yaml", "kind: CiliumNetworkPolicy\nmetadata: {name: x}\nspec:\n  endpointSelector: {}\n  ingres: []\n");
  assert.match(await refused(`-f ${bad} --flows -`), /bad\.yaml:5:3: spec\.ingres: unknown field/);
  assert.match(await refused("--delete shop/nothing --flows -"), /there is no valid policy shop\/nothing/);
  assert.match(await refused("--flows -"), /nothing would change/);
  assert.match(await refused("--delete shop/db --flows -", "{}\nnot json\n"), /-, line 2 is no flow in JSON/);
  assert.match(await refused("--delete shop/db --server unix:///nowhere"), /give recorded flows with --flows/);
  assert.match(await refused("--delete shop/db --since yesterday"), /--since "yesterday" is no duration/);
});

test("suggest writes policies that can be applied, allow what was seen, and nothing else", async () => {
  const world = { labels: ["reserved:world-ipv4"] };
  const flows = [
    flowLine("web", "db", 5432),
    flowLine("web", "db", 5433),
    flowLine("cron", "web", 80),
    flowLine("web", "out", 443, { destination: world, IP: { source: "10.0.1.2", destination: "192.0.2.1" } }),
    flowLine("db", "web", 40_000, { is_reply: true }),
  ];
  const recorded = file("seen.json", flows.join("\n"));
  const { code, out, error } = await cluster.cilium(`policy suggest --namespace shop --flows ${recorded}`);
  assert.equal(code, 0);
  assert.match(error, /^cilium: 3 policies for shop from 4 flows; 1 others say nothing of what is needed$/m);
  assert.deepEqual(
    parseAllDocuments(out).map((document) => document.toJS().metadata.name),
    ["cron", "db", "web"],
  );
  const again = await cluster.cilium(
    "policy suggest --namespace shop --without-cluster --flows - -o json",
    {},
    flows.toReversed().join("\n"),
  );
  assert.deepEqual(
    JSON.parse(again.out).items,
    parseAllDocuments(out).map((document) => document.toJS()),
  );
  // With these in force nothing that was seen changes, and what was not seen is dropped.
  const unseen = [flowLine("cron", "db", 5432), flowLine("db", "web", 80), flowLine("web", "db", 5434)];
  const input = [...flows, ...unseen].join("\n");
  const asked = await cluster.cilium(
    `policy what-if --delete shop/db -f ${file("suggested.yaml", out)} --flows - -o json`,
    undefined,
    input,
  );
  assert.equal(asked.error, "");
  const { changed, notJudged } = JSON.parse(asked.out);
  assert.deepEqual(
    changed.map(({ from, to, port, after }: Record<string, string>) => `${from} ${to} ${port} ${after}`).sort(),
    ["shop/db shop/web 80 dropped", "shop/web shop/db 5433 allowed"],
    "the rest was and is as it was",
  );
  assert.equal(notJudged.length, 1);
});

test("suggest wants to know for whom", async () => {
  assert.match((await cluster.cilium("policy suggest --flows -")).error, /--namespace says whose pods/);
  assert.match((await cluster.cilium("policy suggest -n shop --world-addresses many --flows -")).error, /is a whole number/);
});

const suspicious = `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: first
  namespace: shop
spec:
  endpointSelector:
    matchLabels:
      app: web
      k8s:io.kubernetes.pod.namespace: elsewhere
  ingress:
    - fromEndpoints:
        - matchLabels:
            app: dp
    - fromCIDR:
        - 10.0.1.3/32
      toPorts:
        - ports:
            - port: "80"
  ingressDeny:
    - fromEndpoints:
        - {}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: np, namespace: shop }
spec:
  podSelector: {}
  policyTypes: [Egress]
  ingress:
    - {}
`;

test("lint tells what is surely not meant, where it stands, without a cluster and with one", async () => {
  const path = file("suspicious.yaml", suspicious);
  const findings = async (flags: string): Promise<string[]> => {
    const { code, out, error } = await cluster.cilium(`policy lint ${path} ${flags}`);
    assert.deepEqual([code, error], [2, ""]);
    return out
      .trimEnd()
      .split("\n")
      .map((line) => line.replace(`${path}:`, "").replace(/ warning: (\S+): .*\[(.*)\]$/, " $1 $2"));
  };
  const inTheText = [
    "10:7: spec.endpointSelector.matchLabels.k8s:io.kubernetes.pod.namespace namespace-ignored",
    "12:7: spec.ingress[0] shadowed-by-deny",
    "30:3: spec.ingress direction-ignored",
  ];
  assert.deepEqual(await findings(""), inTheText);
  const ofPods = "15:7: spec.ingress[1] cidr-of-pods";
  assert.deepEqual(await findings("--pod-cidr 10.0.0.0/8"), [...inTheText.slice(0, 2), ofPods, ...inTheText.slice(2)]);
  const nobody = "12:7: spec.ingress[0] selects-nothing";
  assert.deepEqual((await findings("--cluster")).sort(), [...inTheText, nobody, ofPods].sort());
});

test("lint tells what would be rejected, by the schema and beyond it, once for each field", async () => {
  const bad = `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: { name: bad }
spec:
  endpointSelector: {}
  ingress:
    - fromCIDR: [10.0.0.0/33]
      toPorts:
        - ports: [{ port: "80", protocol: TPC }]
  egres: []
---
kind: CiliumNetworkPolicy
metadata: {name: bad}
---
a: [
`;
  const { code, out } = await cluster.cilium(`policy lint ${file("bad2.yaml", bad)} -o json`, {});
  assert.equal(code, 1);
  const findings: { line: number; column: number; severity: string; check: string; path: string }[] = JSON.parse(out);
  assert.deepEqual(
    findings.map(({ line, path, check }) => `${line} ${check} ${path}`),
    [
      "7 schema spec.ingress[0].fromCIDR[0]",
      "9 schema spec.ingress[0].toPorts[0].ports[0].protocol",
      "10 schema spec.egres",
      "12 schema apiVersion",
      "12 invalid spec",
      "13 written-twice metadata.name",
      "16 yaml ",
    ],
  );
});

test("lint has nothing to say of policies that are as they should be, and says what it did not look at", async () => {
  const good = file("good.yaml", JSON.stringify({ apiVersion: "cilium.io/v2", kind: "CiliumNetworkPolicy", ...allowing("web", "db") }));
  assert.deepEqual(await cluster.cilium(`policy lint ${good}`, {}), { code: 0, out: "", error: "" });
  assert.deepEqual(await cluster.cilium(`policy lint ${good} --cluster`), { code: 0, out: "", error: "" });
  const other = await cluster.cilium(`policy lint ${file("other.yaml", "kind: Whatever\n")}`);
  assert.match(other.out, /other\.yaml:1:1: warning: Whatever is of no kind that is known here, and is not checked \[not-checked\]/);
  assert.match((await cluster.cilium("policy lint /nowhere")).error, /\/nowhere cannot be read/);
});
