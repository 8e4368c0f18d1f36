import assert from "node:assert/strict";
import { test } from "node:test";
import { Selector } from "@cilium-ts/labels";
import { type Layer7, mergeLayer7 } from "./layer7.ts";
import type { Rule } from "./rule.ts";
import { unmetNeeds } from "./unmet-needs.ts";

const get: Layer7 = { parser: "http", rules: [{ method: "GET" }] };
const post: Layer7 = { parser: "http", rules: [{ method: "POST" }, { method: "GET" }] };

test("rules of one parser are let through together, each once", () => {
  assert.deepEqual(mergeLayer7([get, post])?.rules, [{ method: "GET" }, { method: "POST" }]);
  assert.equal(mergeLayer7([get, post])?.key, mergeLayer7([post, get])?.key);
});

test("an empty list, or a rule without layer 7, lets everything through, and it still goes to the proxy", () => {
  assert.deepEqual(mergeLayer7([get, { parser: "http", rules: [] }])?.rules, undefined);
  assert.deepEqual(mergeLayer7([get, undefined])?.parser, "http");
  assert.deepEqual(mergeLayer7([get, undefined])?.rules, undefined);
});

test("without layer 7 there is no proxy to go to", () => assert.equal(mergeLayer7([undefined]), undefined));

test("two parsers on one port exclude each other", () => {
  const { parser, conflicts } = mergeLayer7([get, { parser: "generic", protocol: "memcache", rules: [] }]) ?? {};
  assert.deepEqual([parser, conflicts], ["http", ["memcache"]]);
});

test("a policy that needs a proxy says so, by its place", () => {
  const ports = [{ path: "egress[0].toPorts[0]", ports: [], layer7: get }];
  const rule: Rule = {
    policy: { kind: "CiliumNetworkPolicy", namespace: "shop", name: "a", uid: "", labels: [] },
    endpointSelector: Selector.everything,
    ...{ ingress: [{ path: "ingress[0]" }], ingressDeny: [], egress: [{ path: "egress[0]", ports }], egressDeny: [] },
    enableDefaultDeny: { ingress: true, egress: true },
  };
  assert.deepEqual(unmetNeeds([rule]), [
    "egress[0].toPorts[0] needs a proxy for http, and no node has one: connections to its ports are dropped",
  ]);
  const dns: Layer7 = { parser: "dns", rules: [{ matchPattern: "*" }] };
  const names = {
    ...rule,
    egress: [{ path: "egress[0]", peers: [{ kind: "fqdn", pattern: "*.test" } as const], ports: [{ path: "p", ports: [], layer7: dns }] }],
  };
  assert.deepEqual(unmetNeeds([names]), []);
  assert.deepEqual(unmetNeeds([names], { dnsProxy: false }), [
    "p needs a proxy for dns: without --enable-l7-proxy connections to its ports are dropped",
    "egress[0].toFQDNs needs a DNS proxy that learns names: without --enable-l7-proxy it allows nothing",
  ]);
});
