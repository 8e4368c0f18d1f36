import assert from "node:assert/strict";
import { test } from "node:test";
import { Labels } from "@cilium-ts/labels";
import { explainPacket, type PacketEnd, type PolicyWorld } from "@cilium-ts/policy";
import { type GeneratedEnd, generateCluster, generatePacketPort } from "@cilium-ts/policy/testing";
import { createRandom } from "@cilium-ts/testing";
import { PolicyJudge } from "./policy-judge.ts";

/** As policies about it see it; others see its address, or that it is a node. */
const someNode = Labels.parse(["reserved:host", "k8s:zone=a"]);

const clusters = process.env.CILIUM_TS_LONG === "1" ? 3_000 : 300;

test(`a judge of many packets says what is said of one packet asked alone, on ${clusters} generated clusters`, () => {
  const seen = { allowed: 0, redirected: 0, denied: 0, dropped: 0, audited: 0 };
  for (let seed = 1; seed <= clusters; seed += 1) {
    const random = createRandom(seed);
    const { ends, policies, cidrGroups, services, families } = generateCluster(random);
    const world: PolicyWorld = {
      ...{ rules: [...policies.values()].flat(), cidrGroups, services, families, clusterName: "default" },
      mode: random.chance(0.9) ? "default" : random.pick(["always", "never"]),
      allowLocalhost: random.chance(0.7),
      hostFirewall: random.chance(0.7),
    };
    const judge = new PolicyJudge(world);
    const endOf = ({ id, labels, namedPorts, address }: GeneratedEnd): PacketEnd =>
      address !== undefined ? { labels } : id === 6 ? { labels, asSubject: someNode } : { labels, namedPorts };
    for (let round = 0; round < 20; round += 1) {
      const question = { from: endOf(random.pick(ends)), to: endOf(random.pick(ends)), ...generatePacketPort(random) };
      const { verdict, egress, ingress } = judge.judge(question);
      const alone = explainPacket(question, world);
      const story = `seed ${seed}: ${question.from.labels} to ${question.to.labels} ${question.protocol}/${question.port}`;
      const told = [egress, ingress].map((direction) => [direction?.verdict, direction?.audited]);
      assert.deepEqual(
        told,
        [alone.egress, alone.ingress].map((direction) => [direction?.verdict, direction?.audited]),
        story,
      );
      assert.deepEqual(egress?.origins, alone.egress?.origins, story);
      seen[verdict] += 1;
    }
  }
  for (const count of Object.values(seen)) assert.ok(count > clusters / 20, JSON.stringify(seen));
});
