import assert from "node:assert/strict";
import { test } from "node:test";
import { LocalIdentityAllocator, reservedPeers } from "@cilium-ts/identity";
import { Labels, Selector } from "@cilium-ts/labels";
import { type Peer, PolicyEngine } from "@cilium-ts/policy";
import { allow, app } from "../endpoints/endpoints-world.ts";
import { PolicyUpdates } from "./policy-updates.ts";

const subject = { labels: Labels.parse(["k8s:app=web"]) };
const cidr = (prefix: string): Peer => ({ kind: "cidr", cidr: prefix, except: [] });

/** What was carried out, in its order: `[2]` is a regeneration with the number of identities that the policy then lets in. */
function createUpdates(countMax = 100): { updates: PolicyUpdates; engine: PolicyEngine; done: string[] } {
  const done: string[] = [];
  const engine = new PolicyEngine({ mode: "default", allowLocalhost: "policy", clusterName: "default", families: [4, 6] });
  const localIdentities = new LocalIdentityAllocator({ families: [4, 6], countMax });
  const labelsOf = (id: number): string => localIdentities.get(id)?.labels.toString() ?? "nobody";
  const updates = new PolicyUpdates({
    engine,
    localIdentities,
    wantedIdentity: () => undefined,
    claimPrefix: (prefix) => done.push(`claim ${prefix}`),
    releasePrefix: (prefix) => done.push(`release ${prefix}`),
    claimAddress: (address, { id }) => done.push(`claim ${address} ${labelsOf(id)}`),
    releaseAddress: (address) => done.push(`release ${address}`),
    regenerate: () => done.push(`[${engine.resolve(subject).entries.filter(({ direction }) => direction === "ingress").length}]`),
    onProblem: (message) => done.push(message),
  });
  for (const [id, labels] of reservedPeers()) updates.upsertIdentity(id, labels);
  engine.resolve(subject);
  return { updates, engine, done };
}

test("a new prefix is in all policies before addresses move to it, and out of them only when none is left there", () => {
  const { updates, done } = createUpdates();
  updates.open();
  done.length = 0;
  updates.upsertPolicy("p", [allow("p", Selector.everything, [cidr("192.0.2.0/24")])]);
  updates.flush();
  assert.deepEqual(done, ["[1]", "claim 192.0.2.0/24"]);
  done.length = 0;
  updates.upsertPolicy("p", [allow("p", Selector.everything, [cidr("198.51.100.0/24")])]);
  updates.flush();
  assert.deepEqual(done, ["[1]", "claim 198.51.100.0/24", "release 192.0.2.0/24"]);
  done.length = 0;
  updates.removePolicy("p");
  updates.flush();
  assert.deepEqual(done, ["[1]", "release 198.51.100.0/24"]);
});

test("another enforcement mode, group or service is carried out as another rule is", () => {
  const { updates, engine, done } = createUpdates();
  updates.open();
  const carriedOut = (change: () => void): string[] => {
    done.length = 0;
    const { revision } = updates;
    change();
    updates.flush();
    assert.ok(updates.revision >= revision);
    return [...done];
  };
  const closed = carriedOut(() => updates.setMode("always"));
  assert.deepEqual([closed, updates.mode, engine.explain(subject, 2, "ingress", 6, 80).verdict], [["[0]"], "always", "dropped"]);
  carriedOut(() => updates.setMode("default"));
  const peers: Peer[] = [
    { kind: "cidrGroups", name: "office", except: [] },
    { kind: "services", name: "bank" },
  ];
  carriedOut(() => updates.upsertPolicy("p", [allow("p", Selector.everything, peers)]));
  const group = { name: "office", labels: Labels.empty, cidrs: ["192.0.2.0/24"] };
  assert.deepEqual(
    carriedOut(() => updates.upsertCidrGroup(group)),
    ["[1]", "claim 192.0.2.0/24"],
  );
  const service = { namespace: "shop", name: "bank", labels: Labels.empty, addresses: ["198.51.100.1"] };
  assert.deepEqual(
    carriedOut(() => updates.upsertService(service)),
    ["[2]", "claim 198.51.100.1/32"],
  );
  assert.deepEqual([updates.cidrGroups(), updates.services()], [[group], [service]]);
  assert.deepEqual(
    carriedOut(() => updates.removeCidrGroup("office")),
    ["[1]", "release 192.0.2.0/24"],
  );
  assert.deepEqual(
    carriedOut(() => updates.removeService("shop", "bank")),
    ["[0]", "release 198.51.100.1/32"],
  );
});

test("nothing is carried out before it is opened; then what was restored comes first, and addresses last", () => {
  const { updates, done } = createUpdates();
  updates.upsertPolicy("p", [allow("p", Selector.everything, [cidr("192.0.2.0/24")])]);
  updates.flush();
  assert.equal(done.length, 0);
  updates.open(() => done.push("restored"));
  assert.deepEqual(done, ["restored", "[1]", "claim 192.0.2.0/24"]);
});

test("changes of one turn are carried out together, and what cancels out is not carried out at all", async () => {
  const { updates, done } = createUpdates();
  updates.open();
  done.length = 0;
  const { revision } = updates;
  for (const name of ["a", "b", "c"])
    updates.upsertPolicy(name, [allow(name, Selector.everything, [{ kind: "endpoints", selector: app(name) }])]);
  updates.upsertPolicy("d", [allow("d", app("nobody"), [cidr("192.0.2.0/24")])]);
  updates.removePolicy("d");
  assert.deepEqual(done, []);
  await Promise.resolve();
  assert.deepEqual(done, ["[0]"]);
  assert.equal(updates.revision, revision + 5);
});

test("identities that come and go reach the policies that name them", () => {
  const { updates, done } = createUpdates();
  updates.open();
  updates.upsertPolicy("p", [allow("p", Selector.everything, [{ kind: "endpoints", selector: app("client") }])]);
  updates.flush();
  done.length = 0;
  updates.upsertIdentity(300, Labels.parse(["k8s:app=client"]));
  updates.flush();
  updates.upsertIdentity(301, Labels.parse(["k8s:app=stranger"]));
  updates.flush();
  updates.removeIdentity(300);
  updates.flush();
  assert.deepEqual(done, ["[1]", "[0]"]);
});

test("a prefix that gets no number is named", () => {
  const { updates, done } = createUpdates(1);
  updates.open();
  updates.upsertPolicy("p", [allow("p", Selector.everything, [cidr("192.0.2.0/24"), cidr("198.51.100.0/24")])]);
  updates.flush();
  assert.ok(
    done.some((line) => /no local identity for 198\.51\.100\.0\/24/.test(line)),
    done.join("\n"),
  );
});

test("an address with a name that rules mean gets an identity by it, after every policy knows that, and loses it in time", () => {
  const { updates, done } = createUpdates();
  const names = (...patterns: string[]): Peer[] => patterns.map((pattern) => ({ kind: "fqdn", pattern }));
  const carriedOut = (change: () => void): string[] => {
    done.length = 0;
    change();
    updates.flush();
    return [...done];
  };
  updates.open();
  updates.learnName("Api.Example.", ["192.0.2.1", "192.0.2.2"], 60, 0);
  const world = "reserved:world-ipv4";
  assert.deepEqual(
    carriedOut(() => updates.upsertPolicy("p", [allow("p", Selector.everything, names("*.example"))])),
    ["[1]", `claim 192.0.2.1 fqdn:*.example,${world}`, `claim 192.0.2.2 fqdn:*.example,${world}`],
    "two addresses, one identity, one entry",
  );
  assert.deepEqual(
    carriedOut(() => updates.learnName("other.example", ["192.0.2.3"], 120, 0)),
    [`claim 192.0.2.3 fqdn:*.example,${world}`],
    "a known identity needs no other policy",
  );
  assert.deepEqual(
    carriedOut(() => updates.upsertPolicy("q", [allow("q", Selector.everything, [cidr("192.0.2.0/30")])])),
    [
      "[3]",
      "claim 192.0.2.0/30",
      ...["192.0.2.1", "192.0.2.2", "192.0.2.3"].map((address) => `claim ${address} cidr:192.0.2.0/30,fqdn:*.example,${world}`),
      "[2]",
    ],
    "a prefix around them is theirs, too",
  );
  assert.deepEqual(
    carriedOut(() => updates.expireNames(60, () => false)),
    ["release 192.0.2.1", "release 192.0.2.2"],
  );
  assert.deepEqual(
    carriedOut(() => updates.removePolicy("p")),
    ["[2]", "release 192.0.2.3", "[1]"],
  );
});
