import assert from "node:assert/strict";
import { test } from "node:test";
import { type KubernetesClient, type KubernetesObject, openKubernetes, type Resource, resources } from "@cilium-ts/kubernetes";
import { startTestServer } from "@cilium-ts/kubernetes-server/testing";
import type { Service } from "@cilium-ts/service-map";
import { systemClock } from "@cilium-ts/std";
import { eventually } from "@cilium-ts/testing";
import { PolicyStates } from "./policy-states.ts";

const labels = ["k8s:app=db", "k8s:io.kubernetes.pod.namespace=shop"];
const db: Service = {
  ...{ id: "70000", kind: "workload", name: "db", namespace: "shop", cluster: "", identity: 70_000 },
  ...{ labels, workloads: [], names: [], policy: null },
};

function policy(name: string, annotations: Record<string, string> = {}) {
  const spec = { endpointSelector: { matchLabels: { app: "db" } }, ingress: [{}] };
  return { apiVersion: "cilium.io/v2", kind: "CiliumNetworkPolicy", metadata: { namespace: "shop", name, annotations }, spec };
}

function endpoint(name: string, enforcing: boolean) {
  const status = {
    identity: { id: 70_000, labels },
    policy: { ingress: { enforcing, state: "" }, egress: { enforcing: false, state: "" } },
  };
  return { apiVersion: "cilium.io/v2", kind: "CiliumEndpoint", metadata: { namespace: "shop", name }, status };
}

test("a card's policy is what agents say, what policies say where they are silent, and what is only audited", async () => {
  await using server = await startTestServer();
  await using client = await openKubernetes({ server: server.url, userAgent: "test", fieldManager: "test" });
  let told = 0;
  const warnings: string[] = [];
  const log = { warn: (text: string) => void warnings.push(text) };
  const states = new PolicyStates({ clock: systemClock, client, ciliumNamespace: "kube-system", log, onChange: () => (told += 1) });
  assert.equal(states.stateOf(db), null);
  const stop = new AbortController();
  const running = states.run(stop.signal);
  await using ended = new AsyncDisposableStack();
  ended.defer(async () => {
    stop.abort();
    await running;
  });
  const shows = (expected: string) =>
    eventually(() => {
      const state = states.stateOf(db);
      assert.equal(state && `${state.ingress} ${state.egress}`, expected);
    });
  await put(client, resources.namespaces, { apiVersion: "v1", kind: "Namespace", metadata: { name: "shop" } });
  await shows("none none");
  await put(client, resources.ciliumNetworkPolicies, policy("db"));
  await shows("enforced none");
  await put(client, resources.ciliumNetworkPolicies, policy("db", { "policy.cilium.io/audit-mode": "enabled" }));
  await shows("audit none");
  await put(client, resources.ciliumEndpoints, endpoint("db-1", false));
  await shows("none none");
  await put(client, resources.ciliumEndpoints, endpoint("db-1", true));
  await shows("audit none");
  await put(client, resources.ciliumNetworkPolicies, policy("db"));
  await shows("enforced none");
  await put(client, resources.ciliumEndpoints, endpoint("db-2", false));
  await shows("partly none");
  await client.delete(resources.ciliumEndpoints, { namespace: "shop", name: "db-2" }, { signal: stop.signal });
  await shows("enforced none");
  const audited = { name: "shop", annotations: { "policy.cilium.io/audit-mode": "enabled" } };
  await put(client, resources.namespaces, { apiVersion: "v1", kind: "Namespace", metadata: audited });
  await shows("audit none");
  assert.deepEqual([states.isGone("shop"), states.isGone("pay")], [false, true]);
  assert.equal(states.stateOf({ ...db, kind: "world" }), null);
  assert.equal(states.stateOf({ ...db, cluster: "elsewhere" }), null);
  await eventually(() => assert.ok(told > 0));
  assert.deepEqual(warnings, []);
});

async function put(client: KubernetesClient, resource: Resource, body: KubernetesObject & { metadata: { name: string } }): Promise<void> {
  await client.patch(resource, body.metadata, { type: "apply", body, force: true }, { signal: AbortSignal.timeout(5_000) });
}
