import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesObject } from "@cilium-ts/kubernetes";
import type { CidrGroup, Rule } from "@cilium-ts/policy";
import { policyObjects } from "./policy-objects.ts";

/** What reaches the policy, by key; and what was said in the log. */
function watch() {
  const rules = new Map<string, readonly Rule[]>();
  const groups = new Map<string, CidrGroup>();
  const errors: string[] = [];
  const updates = {
    upsertPolicy: (key: string, own: readonly Rule[]) => void rules.set(key, own),
    removePolicy: (key: string) => void rules.delete(key),
    rulesOf: (key: string) => rules.get(key) ?? [],
    upsertCidrGroup: (group: CidrGroup) => void groups.set(group.name, group),
    removeCidrGroup: (name: string) => void groups.delete(name),
  };
  const warnings: string[] = [];
  const log = {
    error: (message: string) => void errors.push(message),
    warn: (message: string) => void warnings.push(message),
    info() {},
    debug() {},
  };
  const watched = policyObjects({
    updates: updates as never,
    flows: { setService() {} },
    agentEvents: { policyUpdated() {}, policyDeleted() {}, serviceUpserted() {} },
    clusterName: "default",
    nodeSelectorLabels: true,
    dns: { enabled: true },
    hostFirewall: false,
    guard: undefined,
    log,
  });
  const of = (kind: string) => {
    const found = watched.find(({ resource }) => resource.kind === kind);
    assert.ok(found !== undefined, kind);
    return found.handlers;
  };
  return { rules, groups, errors, warnings, of };
}

const object = (metadata: object, spec: object): KubernetesObject => ({ metadata, spec }) as KubernetesObject;

test("policies of every kind are in force side by side, until they are deleted", async () => {
  const { rules, of, errors } = watch();
  await of("NetworkPolicy").onUpsert(object({ name: "one", namespace: "shop" }, { podSelector: {} }));
  await of("CiliumNetworkPolicy").onUpsert(object({ name: "one", namespace: "shop" }, { endpointSelector: {}, ingress: [{}] }));
  await of("CiliumClusterwideNetworkPolicy").onUpsert(object({ name: "one" }, { endpointSelector: {}, ingress: [{}] }));
  assert.deepEqual([...rules.keys()], ["NetworkPolicy/shop/one", "CiliumNetworkPolicy/shop/one", "CiliumClusterwideNetworkPolicy/one"]);
  await of("CiliumNetworkPolicy").onDelete({ name: "one", namespace: "shop", uid: "" });
  assert.deepEqual([...rules.keys()], ["NetworkPolicy/shop/one", "CiliumClusterwideNetworkPolicy/one"]);
  assert.deepEqual(errors, []);
});

test("an object that is not valid is named with the reason, and leaves what was in force", async () => {
  const { rules, groups, of, errors } = watch();
  const cidrs = (externalCIDRs: string[]): KubernetesObject => object({ name: "office" }, { externalCIDRs });
  await of("CiliumCIDRGroup").onUpsert(cidrs(["10.0.0.0/8"]));
  await of("CiliumCIDRGroup").onUpsert(cidrs(["10.0.0.0/33"]));
  await of("CiliumClusterwideNetworkPolicy").onUpsert(object({ name: "hosts" }, { nodeSelector: {}, endpointSelector: {}, ingress: [{}] }));
  assert.deepEqual(groups.get("office")?.cidrs, ["10.0.0.0/8"]);
  assert.equal(rules.size, 0);
  assert.match(errors[0] ?? "", /^CiliumCIDRGroup\/office is not applied: spec\.externalCIDRs\[0\]: "10\.0\.0\.0\/33" is no CIDR/);
  assert.match(errors[1] ?? "", /^CiliumClusterwideNetworkPolicy\/hosts is not applied: spec\.nodeSelector: cannot stand beside/);
});

test("a policy of nodes is valid where nodes have no firewall, and that it has no effect there is said", async () => {
  const { rules, errors, warnings, of } = watch();
  await of("CiliumClusterwideNetworkPolicy").onUpsert(object({ name: "nodes" }, { nodeSelector: {}, ingress: [{}] }));
  assert.deepEqual([rules.size, errors], [1, []]);
  assert.deepEqual(warnings, [
    "CiliumClusterwideNetworkPolicy/nodes: nodeSelector needs --enable-host-firewall: without it the policy has no effect",
  ]);
});

test("a policy that needs a proxy is in force, and what no node can give it is said", async () => {
  const { rules, errors, warnings, of } = watch();
  const toPorts = [{ ports: [{ port: "80", protocol: "TCP" }], rules: { http: [{ method: "GET" }] } }];
  await of("CiliumNetworkPolicy").onUpsert(object({ name: "one", namespace: "shop" }, { endpointSelector: {}, ingress: [{ toPorts }] }));
  assert.deepEqual([rules.size, errors], [1, []]);
  assert.deepEqual(warnings, [
    "CiliumNetworkPolicy/shop/one: ingress[0].toPorts[0] needs a proxy for http, and no node has one: connections to its ports are dropped",
  ]);
});
