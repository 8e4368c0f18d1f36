import assert from "node:assert/strict";
import { test } from "node:test";
import { allow, app, EndpointsWorld, TestEndpoints } from "../endpoints/endpoints-world.ts";

test("a policy is in the kernel once for all who have it, and goes with the first sweep after the last of them", async () => {
  using world = new EndpointsWorld();
  const { datapath, engine, realised } = new TestEndpoints(world);
  engine.upsertPolicy("p", [allow("p", app("web"), [{ kind: "entity", entity: "host" }])]);
  const policy = engine.resolve({ labels: world.setPod("web", "web") });
  const set = realised.acquire(policy);
  assert.equal(realised.acquire(policy), set);
  realised.release(policy.fingerprint);
  assert.deepEqual([realised.sweep(), datapath.policySets.count], [0, 1]);
  realised.release(policy.fingerprint);
  assert.equal(datapath.policySets.count, 1, "a packet under way may have read its number");
  assert.equal(realised.acquire(policy), set, "who comes back in time finds it");
  realised.release(policy.fingerprint);
  assert.deepEqual([realised.sweep(), datapath.policySets.count], [1, 0]);
});

test("a full kernel makes room by sweeping, and one without anything to sweep is an error that leaves nothing", async () => {
  using world = new EndpointsWorld();
  const { datapath, engine, kernel, realised } = new TestEndpoints(world);
  const policyOf = (name: string): ReturnType<typeof engine.resolve> => {
    engine.upsertPolicy(name, [allow(name, app(name), [{ kind: "entity", entity: "host" }])]);
    return engine.resolve({ labels: world.setPod(name, name) });
  };
  const [first, second] = [policyOf("a"), policyOf("b")];
  realised.acquire(first);
  kernel.failNext({ operation: "updateBatch", code: "E2BIG" });
  assert.throws(() => realised.acquire(second), /E2BIG/);
  assert.equal(datapath.policySets.count, 1);
  realised.release(first.fingerprint);
  kernel.failNext({ operation: "updateBatch", code: "E2BIG" });
  realised.acquire(second);
  assert.equal(datapath.policySets.count, 1);
});
