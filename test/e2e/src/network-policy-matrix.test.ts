import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { requireKernel } from "@cilium-ts/testing";
import { Cluster } from "./cluster.ts";
import { type MatrixPod, type MatrixPolicy, reaches } from "./network-policy-reading.ts";
import { compileSctpEnds } from "./sctp-ends.ts";
import { type Family, families, type Workload } from "./workload-client.ts";

/**
 * What Kubernetes promises of NetworkPolicy: three pods in each of three namespaces, and after every change who reaches whom, on TCP, UDP and
 * SCTP ports, over both families, with real connections. SCTP associations are begun with raw sockets: the kernel may have none of its own.
 */
const namespaces = ["x", "y", "z"] as const;
const podNames = ["a", "b", "c"] as const;
const protocols = ["TCP", "UDP", "SCTP"] as const;
const ports = [80, 81] as const;
/** Asked at once of one pod: more would only wait for each other. */
const parallelMax = 48;

interface RunningPod extends MatrixPod {
  readonly workload: Workload;
}

const to = (...peers: object[]): object[] => peers;
const podsWith = (...names: string[]): object => ({ podSelector: { matchExpressions: [{ key: "pod", operator: "In", values: names }] } });
const namespaceWith = (...names: string[]): object => ({
  namespaceSelector: { matchExpressions: [{ key: "ns", operator: "In", values: names }] },
});
const onlyA = { matchLabels: { pod: "a" } };

describe("a NetworkPolicy", { skip: requireKernel() }, () => {
  let cluster: Cluster;
  let pods: RunningPod[];
  const applied = new Map<string, MatrixPolicy>();

  before(async () => {
    const sctpEnds = compileSctpEnds();
    cluster = await Cluster.start();
    for (const namespace of namespaces)
      await cluster.lab.kubectl.apply(
        JSON.stringify({ apiVersion: "v1", kind: "Namespace", metadata: { name: namespace, labels: { ns: namespace } } }),
      );
    const named = protocols.flatMap((protocol) =>
      ports.map((port) => ({ name: `serve-${port}-${protocol.toLowerCase()}`, containerPort: port, protocol })),
    );
    pods = [];
    for (const namespace of namespaces) {
      for (const name of podNames) {
        const labels = { pod: name };
        const workload = await cluster.pod(name, { namespace, labels, ports: named, sctpEnds });
        for (const protocol of ["tcp", "udp", "sctp"] as const) await workload.listen(protocol, ...ports);
        const { ipv4, ipv6 } = workload;
        pods.push({ namespace, name, labels, namespaceLabels: { ns: namespace }, addresses: [ipv4, ipv6], named, workload });
      }
    }
  });
  after(() => cluster?.[Symbol.asyncDispose]());
  afterEach(async () => {
    for (const name of applied.keys()) await remove(name);
  });

  async function apply(...policies: readonly MatrixPolicy[]): Promise<void> {
    const objects = policies.map(({ name, namespace, spec }) => ({
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata: { name, namespace },
      spec,
    }));
    await cluster.changing(policies.length, () =>
      cluster.lab.kubectl.apply(objects.map((object) => JSON.stringify(object)).join("\n---\n")),
    );
    for (const policy of policies) applied.set(policy.name, policy);
  }

  async function remove(name: string): Promise<void> {
    const { namespace } = applied.get(name) ?? { namespace: "x" };
    await cluster.changing(1, async () => void (await cluster.lab.kubectl.run(["delete", "networkpolicy", "-n", namespace, name])));
    applied.delete(name);
  }

  /** Every pair that a policy in x can be about. */
  async function check(): Promise<void> {
    const pairs = pods.flatMap((from) =>
      pods.filter((other) => other !== from && [from.namespace, other.namespace].includes("x")).map((other) => [from, other] as const),
    );
    const probes = pairs.flatMap(([from, other]) =>
      families.flatMap((family) => protocols.flatMap((protocol) => ports.map((port) => ({ from, to: other, family, protocol, port })))),
    );
    const wrong: string[] = [];
    const next = probes.values();
    const worker = async (): Promise<void> => {
      for (const probe of next) {
        const expected = reaches([...applied.values()], probe.from, probe.to, probe.protocol, probe.port) ? "answered" : "timeout";
        const outcome = await ask(probe, expected);
        const { from, to: other, family, protocol, port } = probe;
        if (outcome !== expected)
          wrong.push(
            `${from.namespace}/${from.name} ${protocol}/${port} ${other.namespace}/${other.name} over ${family}: ${outcome}, not ${expected}`,
          );
      }
    };
    await Promise.all(Array.from({ length: parallelMax }, worker));
    assert.deepEqual(wrong.sort(), []);
  }

  function ask(
    probe: { from: RunningPod; to: RunningPod; family: Family; protocol: (typeof protocols)[number]; port: number },
    expected: string,
  ): Promise<string> {
    const { from, to: other, family, protocol, port } = probe;
    const ask = expected === "timeout" ? from.workload.askInVain : from.workload.ask;
    return ask.call(from.workload, other.workload, family, protocol.toLowerCase() as "tcp" | "udp" | "sctp", port);
  }

  const rows: ReadonlyArray<readonly [says: string, ...policies: Partial<MatrixPolicy>[]]> = [
    ["that is not there changes nothing"],
    ["without rules closes ingress", { spec: { podSelector: {} } }],
    ["about egress without rules closes egress", { spec: { podSelector: {}, policyTypes: ["Egress"] } }],
    ["about both without rules closes both", { spec: { podSelector: onlyA, policyTypes: ["Ingress", "Egress"] } }],
    ["with an empty rule opens everything again", { spec: { podSelector: {} } }, { spec: { podSelector: onlyA, ingress: [{}] } }],
    ["lets pods of its own namespace in by their labels", { spec: { podSelector: onlyA, ingress: [{ from: to(podsWith("b")) }] } }],
    ["lets namespaces in by their labels", { spec: { podSelector: onlyA, ingress: [{ from: to(namespaceWith("y")) }] } }],
    [
      "lets pods of a namespace in where both must hold",
      { spec: { podSelector: onlyA, ingress: [{ from: to({ ...namespaceWith("y", "z"), ...podsWith("b") }) }] } },
    ],
    [
      "lets pods or namespaces in where either may hold",
      { spec: { podSelector: onlyA, ingress: [{ from: to(namespaceWith("y"), podsWith("b")) }] } },
    ],
    ["opens one port of one protocol", { spec: { podSelector: onlyA, ingress: [{ ports: [{ port: 80 }] }] } }],
    [
      "opens a port of SCTP, and another of UDP to some",
      {
        spec: {
          podSelector: onlyA,
          ingress: [{ ports: [{ port: 81, protocol: "SCTP" }] }, { from: to(namespaceWith("z")), ports: [{ port: 80, protocol: "UDP" }] }],
        },
      },
    ],
    ["opens a range of ports", { spec: { podSelector: onlyA, ingress: [{ ports: [{ port: 81, endPort: 90 }] }] } }],
    [
      "opens ports by the names that pods give them",
      { spec: { podSelector: onlyA, ingress: [{ ports: [{ port: "serve-81-tcp" }, { port: "serve-80-sctp", protocol: "SCTP" }] }] } },
    ],
    [
      "lets pods out to namespaces, and to ports by name there",
      {
        spec: {
          podSelector: onlyA,
          policyTypes: ["Egress"],
          egress: [{ to: to(namespaceWith("z")), ports: [{ port: "serve-80-udp", protocol: "UDP" }] }, { to: to(namespaceWith("y")) }],
        },
      },
    ],
    [
      "of two that select a pod opens what either opens",
      { spec: { podSelector: onlyA, ingress: [{ from: to(podsWith("b")), ports: [{ port: 80 }] }] } },
      { spec: { podSelector: {}, ingress: [{ from: to(namespaceWith("y")) }] } },
    ],
    [
      "on the way out and one on the way in must both allow",
      { spec: { podSelector: onlyA, policyTypes: ["Egress"], egress: [{ to: to(namespaceWith("y")) }] } },
      { namespace: "y", spec: { podSelector: { matchLabels: { pod: "b" } }, ingress: [{ from: to(namespaceWith("z")) }] } },
    ],
    [
      "with a prefix is not about pods, whatever their addresses",
      { spec: { podSelector: onlyA, ingress: [{ from: to({ ipBlock: { cidr: "0.0.0.0/0" } }, { ipBlock: { cidr: "::/0" } }) }] } },
    ],
  ];
  for (const [says, ...policies] of rows) {
    test(says, async () => {
      if (policies.length > 0)
        await apply(...policies.map((policy, index) => ({ name: `p${index}`, namespace: "x", spec: {}, ...policy })));
      await check();
    });
  }

  test("that changes, and one that goes, are what they were last", async () => {
    await apply({ name: "changes", namespace: "x", spec: { podSelector: {} } });
    await apply({ name: "changes", namespace: "x", spec: { podSelector: onlyA, ingress: [{ from: to(podsWith("c")) }] } });
    await check();
    await remove("changes");
    await check();
  });
});
