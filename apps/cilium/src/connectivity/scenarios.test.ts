import assert from "node:assert/strict";
import { test } from "node:test";
import { parseCiliumClusterwideNetworkPolicy, parseCiliumNetworkPolicy, parseNetworkPolicy } from "@cilium-ts/kubernetes";
import { rows, rowText, type TestNames } from "./scenario.ts";
import { scenarios } from "./scenarios.ts";

const names: TestNames = { namespace: "t", otherNamespace: "t-other", worldIPv4: "192.0.2.1", worldIPv6: "2001:db8::1" };
const parsers = {
  CiliumNetworkPolicy: parseCiliumNetworkPolicy,
  CiliumClusterwideNetworkPolicy: parseCiliumClusterwideNetworkPolicy,
  NetworkPolicy: parseNetworkPolicy,
};

test("scenarios have names of their own, and their policies are valid", () => {
  assert.equal(new Set(scenarios.map(({ name }) => name)).size, scenarios.length);
  for (const scenario of scenarios) {
    for (const object of scenario.objects(names)) {
      const parse = Object.entries(parsers).find(([kind]) => kind === object.kind)?.[1];
      if (parse === undefined) continue;
      const isClusterwide = object.kind?.startsWith("CiliumClusterwide") === true;
      const whole = { ...object, metadata: { ...object.metadata, ...(!isClusterwide && { namespace: "t" }), uid: "1" } };
      const parsed = parse(whole, { clusterName: "default" });
      assert.deepEqual(parsed.problems, [], scenario.name);
    }
  }
});

test("scenarios with policies show what is dropped, and all show some verdict", () => {
  for (const { name, rows } of scenarios) assert.notEqual(rows.length, 0, name);
  const dropped = scenarios.filter(({ rows }) => rows.some(({ verdict }) => verdict === "dropped"));
  assert.ok(dropped.length >= 30, `${dropped.length}`);
});

test("a row that is none is our own mistake, and told at once", () => {
  assert.deepEqual(rows("client tcp/8080 near allowed").map(rowText), ["client tcp/8080 near allowed"]);
  for (const text of [
    "client tcp/8080 nowhere allowed",
    "client tcp/x near allowed",
    "client sctp/1 near allowed",
    "client icmp near maybe",
  ])
    assert.throws(() => rows(text), /is no row of a scenario/);
});
