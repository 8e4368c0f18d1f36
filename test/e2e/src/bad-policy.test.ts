import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { requireKernel } from "@cilium-ts/testing";
import { Cluster, policy, policyObject } from "./cluster.ts";
import { verdicts } from "./verdicts.ts";
import type { Workload } from "./workload-client.ts";

const client = { matchLabels: { app: "client" } };
const tcp = (port: string): object => ({ toPorts: [{ ports: [{ port, protocol: "TCP" }] }] });
const guard = (spec: object): string => JSON.stringify(policyObject(policy("guard", "server", spec)));
/** Of an update, kubectl shows the patch, too, before it says what the server says. */
const fresh = (spec: object): string => JSON.stringify(policyObject(policy("fresh", "server", spec)));

interface Row {
  readonly what: string;
  readonly text: string;
  /** One sentence: the thing, the reason, the way out. */
  readonly says: RegExp;
}

const rows: readonly Row[] = [
  {
    what: "YAML that is none",
    text: "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: guard\nspec: {}\n",
    says: /error parsing STDIN: error converting YAML to JSON: yaml: line \d+/,
  },
  {
    what: "an unknown field",
    text: fresh({ ingress: [{ fromEndpoint: [client] }] }),
    says: /unknown field "spec\.ingress\[0\]\.fromEndpoint"/,
  },
  {
    what: "an unknown field at the top",
    text: fresh({ ingres: [{}] }),
    says: /unknown field "spec\.ingres"/,
  },
  {
    what: "a CIDR that is none",
    text: guard({ ingress: [{ fromCIDR: ["10.0.0.300/8"] }] }),
    says: /CiliumNetworkPolicy "guard" is invalid: spec\.ingress\[0\]\.fromCIDR\[0\]: .*"10\.0\.0\.300\/8"/,
  },
  {
    what: "an exception outside of its prefix",
    text: guard({ ingress: [{ fromCIDRSet: [{ cidr: "10.0.0.0/8", except: ["11.0.0.0/16"] }] }] }),
    says: /spec\.ingress\[0\]\.fromCIDRSet\[0\]\.except\[0\]: 11\.0\.0\.0\/16 does not lie in 10\.0\.0\.0\/8/,
  },
  {
    what: "port 70000",
    text: guard({ ingress: [tcp("70000")] }),
    says: /CiliumNetworkPolicy "guard" is invalid: spec\.ingress\[0\]\.toPorts\[0\]\.ports\[0\]\.port: .*70000.*(65535|should match)/,
  },
  {
    what: "a range of ports that ends before it begins",
    text: guard({ ingress: [{ toPorts: [{ ports: [{ port: "9000", endPort: 80, protocol: "TCP" }] }] }] }),
    says: /spec\.ingress\[0\]\.toPorts\[0\]\.ports\[0\]\.endPort: 80 lies before port 9000/,
  },
  {
    what: "two kinds of peers in one rule",
    text: guard({ ingress: [{ fromEndpoints: [client], fromEntities: ["world"] }] }),
    says: /spec\.ingress\[0\]\.fromEntities: cannot stand beside fromEndpoints: .* write a rule of its own for each/,
  },
  {
    what: "an entity that is none",
    text: guard({ ingress: [{ fromEntities: ["internet"] }] }),
    says: /spec\.ingress\[0\]\.fromEntities\[0\]: .*"internet".*world/,
  },
  {
    what: "a protocol that is none",
    text: guard({ ingress: [{ toPorts: [{ ports: [{ port: "80", protocol: "TPC" }] }] }] }),
    says: /spec\.ingress\[0\]\.toPorts\[0\]\.ports\[0\]\.protocol: .*"TPC".*TCP/,
  },
  {
    what: "a rule of which this version knows nothing yet",
    text: guard({
      egress: [{ toPorts: [{ ports: [{ port: "443", protocol: "TCP" }], terminatingTLS: { secret: { name: "certificate" } } }] }],
    }),
    says: /spec\.egress\[0\]\.toPorts\[0\]\.terminatingTLS: is not supported yet/,
  },
];

describe("a policy that is wrong", { skip: requireKernel() }, () => {
  let cluster: Cluster;
  let places: { client: Workload; server: Workload };
  let stored = "";

  before(async () => {
    cluster = await Cluster.start();
    places = { client: await cluster.pod("client"), server: await cluster.pod("server") };
    await places.server.listen("tcp", 8081, 8082);
    await cluster.apply(policy("guard", "server", { ingress: [{ fromEndpoints: [client], ...tcp("8081") }] }));
    stored = await storedGuard();
  });
  after(() => cluster?.[Symbol.asyncDispose]());

  const storedGuard = (): Promise<string> => cluster.lab.kubectl.run(["get", "ciliumnetworkpolicy", "guard", "-o", "json"]);

  async function nothingChanged(): Promise<void> {
    assert.equal(await storedGuard(), stored);
    assert.equal(await cluster.lab.kubectl.run(["get", "ciliumnetworkpolicies", "-o", "name"]), "ciliumnetworkpolicy.cilium.io/guard\n");
    await verdicts(
      places,
      `
        client  tcp/8081  server  answered
        client  tcp/8082  server  dropped
      `,
    );
  }

  for (const { what, text, says } of rows) {
    test(`for ${what} is refused with one sentence, and the former one stays in force`, async () => {
      const before = await cluster.agent.policy(new AbortController().signal);
      const { status, stderr, stdout } = await cluster.lab.kubectl.try(["apply", "-f", "-"], text);
      assert.notEqual(status, 0, stdout);
      assert.match(stderr, says);
      assert.equal(stderr.trim().split("\n").length, 1, stderr);
      await nothingChanged();
      assert.deepEqual(await cluster.agent.policy(new AbortController().signal), before);
    });
  }

  test("is refused by the server itself, whoever sends it", async () => {
    const path = "/apis/cilium.io/v2/namespaces/default/ciliumnetworkpolicies";
    for (const [text, says] of [
      ["{ not json", /the object provided is unrecognized|cannot|invalid|JSON|json/],
      [guard({ ingress: [{ fromCIDR: ["nonsense"] }] }), /spec\.ingress\[0\]\.fromCIDR\[0\]/],
      ['{"apiVersion":"cilium.io/v2","kind":"CiliumNetworkPolicy","metadata":{"name":"empty"}}', /spec/],
    ] as const) {
      const { status, stderr } = await cluster.lab.kubectl.try(["create", "--raw", path, "-f", "-"], text);
      assert.notEqual(status, 0);
      assert.match(stderr, says);
    }
    await nothingChanged();
  });
});
