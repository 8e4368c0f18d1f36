import assert from "node:assert/strict";
import { test } from "node:test";
import { type KubernetesObject, resources } from "@cilium-ts/kubernetes";
import type { Mutable } from "@cilium-ts/kubernetes-server";
import type { SimulatedCluster } from "./cluster.ts";
import { simulate } from "./simulation.ts";

interface Canary {
  readonly name: string;
  readonly found: RegExp;
  readonly defect: (cluster: SimulatedCluster) => void;
}

/** Again and again while the cluster lives, so that nobody can repair it unseen. */
function repeatedly(cluster: SimulatedCluster, work: () => Promise<void> | void): void {
  const { time, ended } = cluster;
  const run = async (): Promise<void> => {
    for (; !ended.aborted; await time.sleep(5_000, ended)) await work();
  };
  run().catch(() => {}); // Rejects when all is over.
}

const canaries: readonly Canary[] = [
  {
    name: "changes that a watch swallows",
    found: /should|has identity|drops|allows|rows for/,
    defect: ({ api }) => {
      api.faults.lostEvent = 0.1;
    },
  },
  {
    name: "a pod CIDR that is given twice",
    found: /are given twice/,
    defect: (cluster) =>
      repeatedly(cluster, async () => {
        const [first, second] = cluster.api.layer.list(resources.ciliumNodes).items as unknown as KubernetesObject[];
        if (first === undefined || second === undefined) return;
        const { ipam } = first.spec as { readonly ipam: Mutable };
        await cluster.merge(resources.ciliumNodes, { name: second.metadata.name ?? "" }, { spec: { ipam } });
      }),
  },
  {
    name: "a policy entry that the kernel loses",
    found: /policy set [0-9]+ (changed|.*used again)|which is gone/,
    defect: (cluster) => repeatedly(cluster, () => cluster.nodes[0]?.losePolicyEntry()),
  },
  {
    name: "an endpoint's row that the kernel loses",
    found: /has no endpoint row|endpoint rows for/,
    defect: (cluster) => repeatedly(cluster, () => cluster.nodes[0]?.loseEndpointRow()),
  },
  {
    name: "a number of an identity that gets another meaning",
    found: /is in use as/,
    defect: (cluster) =>
      repeatedly(cluster, async () => {
        for (const { metadata } of cluster.api.layer.list(resources.ciliumIdentities).items as unknown as KubernetesObject[])
          await cluster.merge(resources.ciliumIdentities, { name: metadata.name ?? "" }, { "security-labels": { "k8s:app": "else" } });
      }),
  },
];

for (const { name, found, defect } of canaries) {
  test(`the simulation finds ${name}`, async () => {
    for (let seed = 1; seed <= 5; seed += 1) {
      const sentences = await simulate({ seed, defect, troubleMs: 20_000, healMsMax: 130_000 });
      if (sentences.some((sentence) => found.test(sentence))) return;
    }
    assert.fail("five clusters had the defect, and nobody noticed");
  });
}
