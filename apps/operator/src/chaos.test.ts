import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { type KubernetesClient, KubernetesError, openKubernetes, recordAt, reflect, resources, textsAt } from "@cilium-ts/kubernetes";
import { type Prefix, parsePrefix, prefixContains } from "@cilium-ts/net";
import { systemClock } from "@cilium-ts/std";
import { createRandom, eventually, type Random } from "@cilium-ts/testing";
import { type RunningOperator, TestCluster } from "./test-cluster.ts";

const { ciliumNodes } = resources;
const settings = { "cluster-pool-ipv4-cidr": "10.0.0.0/16", "enable-ipv6": "false" };

/** How an operator reaches the server: slowly, and after it has been cut off not at all. What was on its way by then still arrives. */
class Wire {
  isCut = false;
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  async open(url: string, options: Parameters<typeof openKubernetes>[0]): Promise<KubernetesClient> {
    const client = await openKubernetes({ ...options, server: url });
    const refuse = (): void => {
      if (this.isCut) throw new KubernetesError({ message: "the wire is cut", status: 0, reason: "Unreachable" });
    };
    /** Shorter than what remains of a lease after the renewal deadline: the real client gives up by then. */
    const travel = (): Promise<void> => delay(this.#random.below(100));
    return {
      server: client.server,
      get: async (...request) => {
        refuse();
        return await client.get(...request);
      },
      list: async (...request) => {
        refuse();
        return await client.list(...request);
      },
      watch: (...request) => client.watch(...request),
      create: async (...request) => {
        refuse();
        return await client.create(...request);
      },
      replace: async (...request) => {
        refuse();
        return await client.replace(...request);
      },
      patch: async (...request) => {
        refuse();
        await travel();
        const answer = await client.patch(...request);
        refuse();
        return answer;
      },
      delete: async (...request) => {
        refuse();
        return await client.delete(...request);
      },
      [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
    };
  }
}

/** The pod CIDRs as they are written, and every moment at which one was written twice. */
class Ledger {
  readonly given = new Map<string, readonly Prefix[]>();
  readonly violations: string[] = [];

  record(name: string, podCIDRs: readonly string[]): void {
    const prefixes = podCIDRs.map((text) => parsePrefix(text)).filter((prefix) => prefix !== undefined);
    const before = this.given.get(name)?.length ?? 0;
    if (before > 0 && prefixes.length === 0) this.violations.push(`${name} lost its pod CIDRs`);
    this.given.set(name, prefixes);
    for (const [other, others] of this.given) {
      if (other === name) continue;
      const isTwice = prefixes.some((one) => others.some((theirs) => prefixContains(one, theirs) || prefixContains(theirs, one)));
      if (isTwice) this.violations.push(`${podCIDRs.join()} belongs to ${name} and to ${other}`);
    }
  }
}

test("leaders that are cut off in the middle of their writes, nodes that come and go: no pod CIDR is ever written twice", async () => {
  const random = createRandom(11);
  await using cluster = await TestCluster.start();
  const ledger = new Ledger();
  const stop = new AbortController();
  const reading = reflect({
    client: cluster.client,
    resource: ciliumNodes,
    clock: systemClock,
    signal: stop.signal,
    onUpsert: (object) => ledger.record(object.metadata.name ?? "", textsAt(recordAt(recordAt(object, "spec"), "ipam"), "podCIDRs")),
    onDelete: ({ name }) => void ledger.given.delete(name),
  });
  const start = (): { wire: Wire; operator: RunningOperator } => {
    const wire = new Wire(random);
    return { wire, operator: cluster.startOperator(settings, { openClient: (options) => wire.open(cluster.url, options) }) };
  };
  await using _reading = {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await reading;
    },
  };
  const present: string[] = [];
  let operators = [start(), start()];
  for (let round = 0; round < 4; round += 1) {
    for (let step = 0; step < 15; step += 1) {
      const name = `node-${round}-${step}`;
      await cluster.create(ciliumNodes, { metadata: { name }, spec: {} });
      present.push(name);
      if (random.chance(0.3)) await cluster.delete(ciliumNodes, { name: present.splice(random.below(present.length), 1)[0] ?? "" });
      await delay(random.below(20));
    }
    const leader = operators.find(({ operator }) => operator.lines.includes("this operator leads"));
    if (leader === undefined) continue;
    leader.wire.isCut = true;
    operators = [...operators.filter((other) => other !== leader), start()];
  }
  await eventually(() => assert.ok(present.every((name) => ledger.given.get(name)?.length === 1)), { deadlineMs: 20_000 });
  assert.deepEqual(ledger.violations, []);
});
