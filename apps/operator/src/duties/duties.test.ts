import assert from "node:assert/strict";
import { test } from "node:test";
import { KubernetesError, resources } from "@cilium-ts/kubernetes";
import { type Prefix, parsePrefix } from "@cilium-ts/net";
import { ciliumNode, endpoint, TestDuty } from "./duty-world.ts";
import { collectEndpoints } from "./endpoint-gc.ts";
import { collectIdentities } from "./identity-gc.ts";
import { collectNodes } from "./node-gc.ts";
import { markReadyNodes } from "./node-readiness.ts";
import { givePodCIDRs } from "./pod-cidrs.ts";
import { validatePolicies } from "./policy-validation.ts";

// What a duty does where the moment decides: between two lists, two passes, a reading and a writing.

const minute = 60_000;
const pool = { ipam: "cluster-pool", ipv4: { prefixes: [parsePrefix("10.0.0.0/8") as Prefix], maskSize: 24 }, ipv6: undefined } as const;

/** Runs the duty while the body does, and ends it. */
async function during(duty: (signal: AbortSignal) => Promise<void>, body: () => Promise<void>): Promise<void> {
  const stop = new AbortController();
  const running = duty(stop.signal);
  try {
    await body();
  } finally {
    stop.abort(new Error("the test is over"));
    await running;
  }
}

test("nothing is given before all that the objects say is known, whatever their order", async () => {
  const duty = new TestDuty();
  duty.cluster.ciliumNodes.upsert(ciliumNode("a-new", { createdAt: "2026-02-01T00:00:00Z" }));
  duty.cluster.ciliumNodes.upsert(ciliumNode("m-claims", { createdAt: "2026-03-01T00:00:00Z", podCIDRs: ["10.0.1.0/24"] }));
  duty.cluster.ciliumNodes.upsert(ciliumNode("z-old", { podCIDRs: ["10.0.0.0/24"] }));
  duty.cluster.ciliumNodes.upsert(ciliumNode("z-older", { createdAt: "2025-01-01T00:00:00Z", podCIDRs: ["10.0.1.0/24"] }));
  await during(
    (signal) => givePodCIDRs(duty.world, pool, signal),
    async () => {
      await duty.clock.advance(100);
      assert.deepEqual(duty.writes[0], {
        what: "patch ciliumnodes a-new",
        sent: { metadata: { resourceVersion: "7" }, spec: { ipam: { podCIDRs: ["10.0.2.0/24"] } } },
      });
      assert.deepEqual(
        duty.writes.slice(1).map(({ what }) => what),
        ["patch ciliumnodes/status m-claims"],
      );
    },
  );
});

test("a pod CIDR whose write failed is kept for its node, and tried again", async () => {
  const duty = new TestDuty();
  let failures = 3;
  duty.onWrite = (what) => {
    if (what === "patch ciliumnodes a") failures -= 1;
    if (what === "patch ciliumnodes a" && failures >= 0)
      throw new KubernetesError({ message: "conflict", status: 409, reason: "Conflict" });
  };
  duty.cluster.ciliumNodes.upsert(ciliumNode("a"));
  await during(
    (signal) => givePodCIDRs(duty.world, pool, signal),
    async () => {
      await duty.clock.advance(10);
      duty.cluster.ciliumNodes.upsert(ciliumNode("b", { podCIDRs: ["10.0.0.0/24"] }));
      await duty.clock.advance(10_000);
      const sent = duty.writes.filter(({ what }) => what === "patch ciliumnodes a").map((write) => JSON.stringify(write.sent));
      assert.equal(sent.length, 4);
      assert.ok(sent.every((body) => body.includes("10.0.0.0/24")));
      assert.ok(duty.lines.some((line) => line.startsWith("node b cannot have pod CIDRs: 10.0.0.0/24 belongs to node a")));
    },
  );
});

test("an endpoint whose pod is only not listed yet is left alone; one whose pod is gone is deleted in the version that was judged", async () => {
  const duty = new TestDuty();
  duty.cluster.endpoints.upsert(endpoint("just-made"));
  duty.cluster.endpoints.upsert(endpoint("gone"));
  duty.stored.set("pods just-made", { metadata: { name: "just-made" } });
  await during(
    (signal) => collectEndpoints(duty.world, 5 * minute, signal),
    async () => {
      await duty.clock.advance(minute);
      assert.deepEqual(duty.writes, [{ what: "delete ciliumendpoints gone", sent: { uid: "uid-gone", resourceVersion: "7" } }]);
    },
  );
});

test("a CiliumNode goes when its Node has been gone for a whole interval, and the server agrees", async () => {
  const duty = new TestDuty();
  for (const name of ["gone", "behind", "returns"]) duty.cluster.ciliumNodes.upsert(ciliumNode(name));
  duty.stored.set("nodes behind", { metadata: { name: "behind" } });
  duty.onWrite = () => duty.cluster.ciliumNodes.delete("gone");
  await during(
    (signal) => collectNodes(duty.world, 5 * minute, signal),
    async () => {
      await duty.clock.advance(4 * minute);
      assert.deepEqual(duty.writes, []);
      const node = {
        uid: "u",
        resourceVersion: "1",
        podCIDRs: [],
        bootId: "",
        taintIndexes: [],
        hasTaints: true,
        conditionIndex: -1,
        hasConditions: false,
        isUp: true,
      };
      duty.cluster.nodes.upsert({ ...node, name: "returns" });
      await duty.clock.advance(2 * minute);
      duty.cluster.nodes.delete("returns");
      await duty.clock.advance(5 * minute);
      assert.deepEqual(duty.writes, [{ what: "delete ciliumnodes gone", sent: { uid: "uid-gone" } }]);
    },
  );
});

test("what was written once is not written again before the answer comes back by the watch, and then only if it must be", async () => {
  const duty = new TestDuty();
  const { nodes, ciliumNodes, policies } = duty.cluster;
  ciliumNodes.upsert(ciliumNode("n", { hasInternalAddress: true }));
  const node = {
    name: "n",
    uid: "u",
    podCIDRs: [],
    bootId: "",
    taintIndexes: [0],
    hasTaints: true,
    conditionIndex: -1,
    hasConditions: false,
    isUp: false,
  };
  nodes.upsert({ ...node, resourceVersion: "7" });
  const verdict = { status: "False", message: "wrong" } as const;
  const policy = {
    key: "k",
    resource: resources.ciliumNetworkPolicies,
    namespace: "default",
    name: "p",
    uid: "u",
    verdict,
    needs: [],
    groups: [],
  } as const;
  const status = { said: undefined, generation: undefined, otherConditions: [] };
  policies.upsert({ ...policy, resourceVersion: "7", status });
  for (const source of policies.pendingSources) policies.markSynced(source);
  const both = async (signal: AbortSignal): Promise<void> => {
    const ready = markReadyNodes(duty.world, { removesTaints: true, setsTaints: false, setsCondition: true, taintKey: "t" }, signal);
    await Promise.all([ready, validatePolicies(duty.world, signal)]);
  };
  const written = (): string[] => duty.writes.splice(0).map(({ what }) => what);
  await during(both, async () => {
    await duty.clock.advance(3 * minute);
    assert.deepEqual(written().sort(), ["patch ciliumnetworkpolicies/status p", "patch nodes n", "patch nodes/status n"]);
    nodes.upsert({ ...node, resourceVersion: "9", isUp: true });
    const byAnother = { status: "True", message: "by somebody else", lastTransitionTime: "", observedGeneration: undefined } as const;
    policies.upsert({ ...policy, resourceVersion: "9", status: { ...status, said: byAnother } });
    await duty.clock.advance(3 * minute);
    assert.deepEqual(written().sort(), ["patch ciliumnetworkpolicies/status p", "patch nodes n"]);
  });
});

test("identities are marked, and deleted after the time-out, at their pace and in the version that was judged", async () => {
  const duty = new TestDuty();
  const options = { identityGcIntervalMs: 15 * minute, identityHeartbeatTimeoutMs: 30 * minute, identityGcPaceMs: 20_000 };
  const { identities, endpoints } = duty.cluster;
  for (const name of ["300", "301", "302", "303"])
    identities.upsert({ name, uid: `uid-${name}`, resourceVersion: "7", markedAtMs: undefined });
  endpoints.upsert(endpoint("web", 300));
  const written = (): string[] => duty.writes.splice(0).map(({ what }) => what);
  await during(
    (signal) => collectIdentities(duty.world, options, signal),
    async () => {
      await duty.clock.advance(5_000);
      assert.deepEqual(written(), ["patch ciliumidentities 301"]);
      endpoints.upsert(endpoint("late", 303));
      await duty.clock.advance(minute);
      assert.deepEqual(written(), ["patch ciliumidentities 302"], "303 came into use while the pass went on");
      for (const name of ["301", "302"])
        identities.upsert({ name, uid: `uid-${name}`, resourceVersion: "8", markedAtMs: duty.clock.nowMs() });
      await duty.clock.advance(20 * minute);
      assert.deepEqual(written(), []);
      await duty.clock.advance(12 * minute);
      assert.deepEqual(duty.writes, [
        { what: "delete ciliumidentities 301", sent: { uid: "uid-301", resourceVersion: "8" } },
        { what: "delete ciliumidentities 302", sent: { uid: "uid-302", resourceVersion: "8" } },
      ]);
    },
  );
});

test("an identity that was used in between has its whole grace again", async () => {
  const duty = new TestDuty();
  const options = { identityGcIntervalMs: 15 * minute, identityHeartbeatTimeoutMs: 30 * minute, identityGcPaceMs: 0 };
  const { identities, endpoints } = duty.cluster;
  let version = 1;
  const upsert = (markedAtMs: number | undefined): void => {
    version += 1;
    identities.upsert({ name: "300", uid: "u", resourceVersion: String(version), markedAtMs });
  };
  upsert(undefined);
  duty.onWrite = () => upsert(identities.get("300")?.markedAtMs === undefined ? duty.clock.nowMs() : undefined);
  await during(
    (signal) => collectIdentities(duty.world, options, signal),
    async () => {
      await duty.clock.advance(5 * minute);
      endpoints.upsert(endpoint("web", 300));
      await duty.clock.advance(15 * minute);
      endpoints.delete("default/web");
      await duty.clock.advance(35 * minute); // Passes at 30 and 45 min; the next one that may delete is at 60.
      const verbs = (): string[] => duty.writes.map(({ what }) => what.split(" ")[0] ?? "");
      assert.deepEqual(verbs(), ["patch", "patch", "patch"], "marked, taken back, marked");
      await duty.clock.advance(6 * minute);
      assert.deepEqual(verbs().slice(3), ["delete"]);
    },
  );
});
