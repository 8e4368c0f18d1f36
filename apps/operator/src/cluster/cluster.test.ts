import assert from "node:assert/strict";
import { test } from "node:test";
import { type KubernetesClient, KubernetesError, type Resource } from "@cilium-ts/kubernetes";
import { createSimulatedClock } from "@cilium-ts/std/testing";
import { Cluster } from "./cluster.ts";

/** A server that holds nothing, and refuses what the test says. */
function emptyServer(isRefused: (resource: Resource) => boolean): KubernetesClient {
  const refuse = (resource: Resource): void => {
    if (isRefused(resource)) throw new KubernetesError({ message: `${resource.plural} are forbidden`, status: 403, reason: "Forbidden" });
  };
  const client: Partial<KubernetesClient> = {
    async list(resource) {
      refuse(resource);
      return { resourceVersion: "1", items: [] };
    },
    async *watch(resource, { signal, onOpen }) {
      refuse(resource);
      onOpen?.();
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    },
  };
  return client as KubernetesClient;
}

test("what is not followed at the moment is known to be uncertain, and whoever removes things can tell", async () => {
  const clock = createSimulatedClock();
  const stop = new AbortController();
  let refused = "pods";
  const warnings: string[] = [];
  const say = (message: string): void => void warnings.push(message);
  const cluster = new Cluster({
    client: emptyServer(({ plural }) => plural === refused),
    clock,
    log: { error: say, warn: say, info: say, debug: say },
    clusterName: "c",
    namespace: "kube-system",
    taintKey: "t",
    agentPodSelector: "k8s-app=cilium",
    ipam: "cluster-pool",
    makesSlices: false,
    validatesPolicies: true,
  });
  const { pods, endpoints, identities } = cluster;
  assert.equal(cluster.failure(endpoints), "ciliumendpoints were not listed yet");
  const running = cluster.run(stop.signal);
  await clock.advance(10);
  assert.equal(cluster.failure(endpoints, identities), undefined);
  assert.equal(cluster.failure(endpoints, pods), "pods were not listed yet");
  assert.deepEqual(warnings.slice(0, 1), ["the API server does not serve pods: pods are forbidden; nothing is removed meanwhile"]);
  refused = "ciliumendpoints";
  await clock.advance(60_000);
  assert.equal(cluster.failure(pods), undefined);
  await clock.advance(400_000);
  assert.equal(cluster.failure(endpoints, pods), "ciliumendpoints: ciliumendpoints are forbidden");
  assert.deepEqual(warnings.filter((line) => line.includes("ciliumendpoints")).length, 1);
  refused = "";
  await clock.advance(60_000);
  assert.equal(cluster.failure(endpoints, pods), undefined);
  stop.abort();
  await running;
});
