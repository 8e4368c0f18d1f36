import assert from "node:assert/strict";
import { test } from "node:test";
import { LocalIdentityAllocator } from "@cilium-ts/identity";
import { type KubernetesClient, openKubernetes, type Resource, reflect, resources } from "@cilium-ts/kubernetes";
import { startTestServer } from "@cilium-ts/kubernetes-server/testing";
import { Labels } from "@cilium-ts/labels";
import { PolicyEngine, type PolicySubject } from "@cilium-ts/policy";
import { systemClock } from "@cilium-ts/std";
import { eventually } from "@cilium-ts/testing";
import { PolicyUpdates } from "../policy/policy-updates.ts";
import { policyObjects } from "./policy-objects.ts";

const pod = (app: string): Labels =>
  Labels.parse([`k8s:app=${app}`, "k8s:io.kubernetes.pod.namespace=shop", "k8s:io.cilium.k8s.policy.cluster=default"]);
const web: PolicySubject = { labels: pod("web") };
const dbIdentity = 301;

/** From objects on an API server to verdicts, with nothing in between left out but the kernel. */
async function follow(
  run: (client: KubernetesClient, engine: PolicyEngine, locals: LocalIdentityAllocator) => Promise<void>,
): Promise<void> {
  await using server = await startTestServer();
  await using client = await openKubernetes({ server: server.url });
  const engine = new PolicyEngine({ mode: "default", allowLocalhost: "policy", clusterName: "default", families: [4, 6] });
  const locals = new LocalIdentityAllocator({ families: [4, 6] });
  const problems: string[] = [];
  const updates = new PolicyUpdates({
    engine,
    localIdentities: locals,
    wantedIdentity: () => undefined,
    claimPrefix() {},
    releasePrefix() {},
    claimAddress() {},
    releaseAddress() {},
    regenerate() {},
    onProblem: (message) => void problems.push(message),
  });
  updates.upsertIdentity(dbIdentity, pod("db"));
  updates.open();
  const stop = new AbortController();
  const log = { error: (message: string) => void problems.push(message), warn() {}, info() {}, debug() {} };
  const watches = policyObjects({
    updates,
    flows: { setService() {} },
    agentEvents: { policyUpdated() {}, policyDeleted() {}, serviceUpserted() {} },
    clusterName: "default",
    nodeSelectorLabels: true,
    dns: { enabled: true },
    hostFirewall: false,
    guard: undefined,
    log,
  }).map(({ resource, handlers }) => reflect({ client, resource, clock: systemClock, signal: stop.signal, ...handlers }));
  try {
    await run(client, engine, locals);
    assert.deepEqual(problems, []);
  } finally {
    stop.abort();
    await Promise.all(watches);
  }
}

function create(
  client: KubernetesClient,
  resource: Resource,
  name: string,
  fields: Record<string, unknown>,
  labels = {},
): Promise<unknown> {
  const metadata = { name, labels, ...(resource.namespaced && { namespace: "shop" }) };
  return client.create(resource, { metadata, ...fields }, { signal: AbortSignal.timeout(10_000) });
}

test("a NetworkPolicy closes, and a cluster-wide policy opens to a group of CIDRs", async () => {
  await follow(async (client, engine, locals) => {
    await create(client, resources.namespaces, "shop", {});
    await create(client, resources.networkPolicies, "closed", { spec: { podSelector: {}, policyTypes: ["Ingress"] } });
    await eventually(() => assert.equal(engine.explain(web, dbIdentity, "ingress", 6, 80).verdict, "dropped"));
    await create(client, resources.ciliumCidrGroups, "office", { spec: { externalCIDRs: ["192.0.2.0/24"] } });
    await create(client, resources.ciliumClusterwideNetworkPolicies, "office", {
      spec: { endpointSelector: {}, ingress: [{ fromCIDRSet: [{ cidrGroupRef: "office" }] }] },
    });
    await eventually(() => {
      const office = locals.ofPrefix("192.0.2.0/24");
      assert.equal(office && engine.explain(web, office.id, "ingress", 6, 80).verdict, "allowed");
    });
  });
});

test("services are what they select, or the addresses that somebody wrote", async () => {
  await follow(async (client, engine, locals) => {
    await create(client, resources.namespaces, "shop", {});
    const toServices = ["db", "bank"].map((serviceName) => ({ k8sService: { serviceName } }));
    await create(client, resources.ciliumNetworkPolicies, "out", { spec: { endpointSelector: {}, egress: [{ toServices }] } });
    await eventually(() => assert.equal(engine.explain(web, dbIdentity, "egress", 6, 80).verdict, "dropped"));
    await create(client, resources.services, "db", { spec: { selector: { app: "db" }, ports: [{ port: 80 }] } });
    await create(client, resources.services, "bank", { spec: { ports: [{ port: 80 }] } });
    const slice = (address: string): Record<string, unknown> => ({ addressType: "IPv4", endpoints: [{ addresses: [address] }], ports: [] });
    const ofBank = { "kubernetes.io/service-name": "bank" };
    const managed = { "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io" };
    await create(client, resources.endpointSlices, "bank-kept", slice("198.51.100.1"), { ...ofBank, ...managed });
    await create(client, resources.endpointSlices, "bank-1", slice("198.51.100.2"), ofBank);
    await eventually(() => {
      assert.equal(engine.explain(web, dbIdentity, "egress", 6, 80).verdict, "allowed");
      const bank = locals.ofPrefix("198.51.100.2/32");
      assert.equal(bank && engine.explain(web, bank.id, "egress", 6, 443).verdict, "allowed");
    });
    assert.equal(locals.ofPrefix("198.51.100.1/32"), undefined, "slices of the cluster's own controller are of services with a selector");
  });
});
