import assert from "node:assert/strict";
import { mkdtempDisposableSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Answer, AskedServer, Question } from "@cilium-ts/dns-proxy";
import { ContextHistory, decodeFlow, EndpointResolver, EventView, encodeL7Record, type Flow, Verdict } from "@cilium-ts/flow";
import { LocalIdentityAllocator } from "@cilium-ts/identity";
import { openFakeKernel } from "@cilium-ts/kernel/testing";
import { Selector } from "@cilium-ts/labels";
import { formatAddress } from "@cilium-ts/net";
import { PolicyEngine, type Redirect } from "@cilium-ts/policy";
import { createSimulatedClock } from "@cilium-ts/std/testing";
import { allow } from "../endpoints/endpoints-world.ts";
import { PolicyUpdates } from "../policy/policy-updates.ts";
import type { ProxiedConnection } from "../proxies/node-proxies.ts";
import { LookupsFile } from "./lookups-file.ts";
import { NodeDns } from "./node-dns.ts";
import { knownNames } from "./open-node-dns.ts";

const asked: AskedServer = {
  client: { address: Uint8Array.of(10, 0, 1, 7), port: 4_000 },
  server: { address: Uint8Array.of(10, 0, 1, 53), port: 53 },
  transport: "UDP",
};
const redirect: Redirect = { parser: "dns", conflicts: [], rules: [{ matchName: "www.test" }, { matchPattern: "a*.test" }], key: "k" };
const connection: ProxiedConnection = {
  ...{ endpointId: 7, sourceIdentity: 300, destinationIdentity: 301, sourceEndpoint: 7, destinationEndpoint: 8 },
  ...{ redirect, mark: 0xb00 },
};
const settings = {
  ...{ enabled: false, ttlSMin: 0, addressCountMax: 1_000, keptCountMax: 10, refusedWith: 5, answerDelayMsMax: 20 },
  ...{ preCachePath: "", inFlightMax: 10 },
};

/** An agent's part that learns names; without sockets. */
class TestDns implements Disposable {
  readonly #temporary;
  readonly clock = createSimulatedClock(1_000_000);
  readonly done: string[] = [];
  readonly records: Uint8Array[] = [];
  readonly inUse = new Set<string>();
  found: ProxiedConnection | undefined = connection;
  realised = true;
  audited = false;
  dns: NodeDns;
  updates: PolicyUpdates;

  constructor() {
    this.#temporary = mkdtempDisposableSync(join(tmpdir(), "dns-"));
    [this.dns, this.updates] = this.#start();
    this.dns.restore([]);
  }

  get directory(): string {
    return this.#temporary.path;
  }

  restart(): void {
    [this.dns, this.updates] = this.#start();
  }

  #start(): [NodeDns, PolicyUpdates] {
    const updates = new PolicyUpdates({
      engine: new PolicyEngine({ mode: "default", allowLocalhost: "policy", clusterName: "default", families: [4, 6] }),
      localIdentities: new LocalIdentityAllocator({ families: [4, 6] }),
      wantedIdentity: () => undefined,
      claimPrefix: () => {},
      releasePrefix: () => {},
      claimAddress: (address) => this.done.push(`reached ${address}`),
      releaseAddress: (address) => this.done.push(`gone ${address}`),
      regenerate: () => {},
      onProblem: (message) => this.done.push(message),
    });
    updates.open();
    updates.upsertPolicy("p", [allow("p", Selector.everything, [{ kind: "fqdn", pattern: "*.test" }])]);
    const dns = new NodeDns({
      kernel: openFakeKernel(),
      clock: this.clock,
      log: { error: (text) => this.done.push(text), warn() {}, info() {}, debug() {} },
      settings,
      proxies: { open: () => assert.fail("there are no sockets"), find: () => this.found },
      updates,
      flows: { setNames: (id, address, names) => this.done.push(`${id} ${formatAddress(address)} ${names.join()}`) },
      file: new LookupsFile(join(this.directory, "state")),
      addressesInUse: () => this.inUse,
      hasEndpoint: (id) => id === 7,
      isAudited: () => this.audited,
      isRealised: () => this.realised,
      onRecord: (record) => this.records.push(encodeL7Record(record)),
      onOutcome() {},
      onLateUpdate: () => this.done.push("late"),
      onForgotten: (count) => this.done.push(`${count} forgotten`),
    });
    return [dns, updates];
  }

  /** What came of it, and when the pod hears. */
  answer(name: string, addresses: readonly string[], ttlS = 60): Promise<void> | undefined {
    const question: Question = { id: 1, name, type: "A", isInternet: true, end: 0 };
    const answer: Answer = { rcode: 0, truncated: false, addresses, aliases: ["cdn.test."], ttlS, recordTypes: ["CNAME", "A"] };
    return this.dns.judge(asked, 10_001)?.onAnswer(question, answer, 3);
  }

  taken(): string[] {
    return this.done.splice(0);
  }

  flow(index: number): Flow {
    const history = new ContextHistory({
      ...{ nodeName: "n", clusterName: "c", wallClockOffsetNs: () => 0n, interfaceName: () => undefined, fileName: () => undefined },
      policyReasons: () => assert.fail("no verdict of policy"),
    });
    const event = new EventView(new EndpointResolver(history));
    assert.ok(event.loadRecord(this.records[index] ?? assert.fail("no record")));
    return decodeFlow(event) ?? assert.fail("no flow");
  }

  [Symbol.dispose](): void {
    this.#temporary.remove();
  }
}

test("a question is judged by the rules of its connection", () => {
  using node = new TestDns();
  const allows = (name: string): boolean | undefined => node.dns.judge(asked, 1)?.allows(name);
  assert.deepEqual(["www.test", "ab.test", "a.b.test", "test", "\\000.test"].map(allows), [true, true, false, false, false]);
  node.found = { ...connection, redirect: undefined };
  assert.equal(allows("x"), true, "policy wants nothing looked at any more");
  node.found = { ...connection, redirect: { ...redirect, rules: undefined } };
  assert.equal(allows("x"), true, "all names are only looked at");
  node.found = { ...connection, redirect: { ...redirect, parser: "http" } };
  assert.equal(allows("www.test"), false, "rules of another protocol");
  node.found = undefined;
  assert.equal(allows("www.test"), undefined);
});

test("where policy only audits, nothing is refused, and what would be is told", () => {
  using node = new TestDns();
  node.audited = true;
  const asker = node.dns.judge(asked, 1);
  assert.equal(asker?.allows("evil"), true);
  asker?.onQuestion({ id: 1, name: "evil", type: "A", isInternet: true, end: 0 }, "forwarded");
  asker?.onQuestion({ id: 1, name: "www.test", type: "A", isInternet: true, end: 0 }, "forwarded");
  assert.deepEqual([node.flow(0).verdict, node.flow(1).verdict], [Verdict.audit, Verdict.forwarded]);
});

test("before the pod hears of an address, flows and policies know it, and the disk", () => {
  using node = new TestDns();
  node.taken();
  assert.equal(node.answer("www.test", ["192.0.2.1", "2001:db8::1"]), undefined, "at once");
  assert.deepEqual(node.taken(), ["7 192.0.2.1 www.test", "7 2001:db8::1 www.test", "reached 192.0.2.1", "reached 2001:db8::1"]);
  assert.equal(new LookupsFile(join(node.directory, "state")).read().length, 2);
  assert.equal(node.answer("www.test", ["192.0.2.1"]), undefined);
  assert.deepEqual(node.taken(), [], "nothing new");
  node.answer("elsewhere", ["192.0.2.9"]);
  assert.deepEqual(node.taken(), ["7 192.0.2.9 elsewhere"], "no rule means it");
});

test("an answer waits while the kernel does not know its addresses, and not for ever", async () => {
  using node = new TestDns();
  node.realised = false;
  const waiting = node.answer("www.test", ["192.0.2.1"]);
  assert.ok(waiting);
  node.realised = true;
  await waiting;
  node.realised = false;
  const late = node.answer("www.test", ["192.0.2.1"]);
  await node.clock.advance(20);
  await late;
  assert.equal(node.taken().at(-1), "late");
});

test("an address is kept until its time is over and no connection uses it", async () => {
  using node = new TestDns();
  node.answer("www.test", ["192.0.2.1"], 10);
  node.inUse.add("192.0.2.1");
  await node.clock.advance(10_000);
  node.taken();
  node.dns.expire();
  assert.deepEqual([node.taken(), [...node.dns.zombies()]], [[], [[7, 1]]]);
  node.inUse.clear();
  node.dns.expire();
  node.updates.flush();
  assert.deepEqual(node.taken(), ["7 192.0.2.1 ", "1 forgotten", "gone 192.0.2.1"]);
  assert.deepEqual(new LookupsFile(join(node.directory, "state")).read(), []);
});

test("after a restart an agent knows what its pods had heard, for a while at least", async () => {
  using node = new TestDns();
  node.answer("www.test", ["192.0.2.1"], 10);
  node.found = { ...connection, endpointId: 9 };
  node.answer("gone.test", ["192.0.2.2"], 1_000);
  await node.clock.advance(3_600_000);
  node.restart();
  node.taken();
  node.dns.restore([{ name: "known.test", address: "192.0.2.3", expiresS: 0 }]);
  node.updates.flush();
  assert.deepEqual(node.taken(), ["7 192.0.2.1 www.test", "reached 192.0.2.1", "reached 192.0.2.3"], "of the pods that are still here");
  node.dns.expire();
  assert.deepEqual(node.taken(), []);
  await node.clock.advance(30_000);
  node.dns.expire();
  node.updates.flush();
  assert.deepEqual(node.taken().slice(-2), ["gone 192.0.2.1", "gone 192.0.2.3"]);
});

test("names that operators want forgotten, and those of a pod that is gone, are no longer known", () => {
  using node = new TestDns();
  node.answer("www.test", ["192.0.2.1"]);
  node.answer("api.test", ["192.0.2.2"]);
  node.taken();
  node.dns.forget((name) => name === "www.test");
  assert.deepEqual(node.taken(), ["7 192.0.2.1 ", "gone 192.0.2.1"]);
  node.dns.endpointGone(7);
  assert.deepEqual(node.taken(), ["7 192.0.2.2 "]);
  assert.equal(node.dns.lookups.size, 0);
});

test("a disk that takes nothing is said once, and costs nothing else", () => {
  using node = new TestDns();
  rmSync(join(node.directory, "state"), { recursive: true });
  writeFileSync(join(node.directory, "state"), "in the way");
  node.answer("www.test", ["192.0.2.1"]);
  node.answer("api.test", ["192.0.2.2"]);
  assert.equal(node.taken().filter((line) => line.startsWith("names that pods have looked up are not kept")).length, 1);
});

test("hubble is told of the question with its verdict, and of the answer from the server", () => {
  using node = new TestDns();
  const question: Question = { id: 1, name: "www.test", type: "A", isInternet: true, end: 0 };
  node.dns.judge(asked, 10_001)?.onQuestion(question, "refused");
  node.answer("www.test", ["192.0.2.1"], 30);
  const [refused, answered] = [node.flow(0), node.flow(1)];
  assert.deepEqual([refused.verdict, answered.verdict], [Verdict.dropped, Verdict.forwarded]);
  assert.deepEqual([refused.source?.identity, answered.source?.identity], [300, 301]);
  assert.equal(refused.summary, "DNS Query www.test. A");
  assert.equal(answered.summary, 'DNS Answer "192.0.2.1" CNAMEs: "cdn.test." TTL: 30 (Proxy www.test. A)');
});

test("names known beforehand are read from the file, and a file that is no such is said", () => {
  using node = new TestDns();
  const path = join(node.directory, "cache.json");
  const log = { error: (text: string) => node.done.push(text), warn() {}, info() {}, debug() {} };
  assert.deepEqual(knownNames({ ...settings, preCachePath: path }, log), []);
  writeFileSync(path, '[{"fqdn":"a.test","ips":["192.0.2.1"],"expiration-time":"1970-01-01T00:00:09Z"}]');
  assert.deepEqual(knownNames({ ...settings, preCachePath: path }, log), [{ name: "a.test", address: "192.0.2.1", expiresS: 9 }]);
  writeFileSync(path, "{");
  assert.deepEqual(knownNames({ ...settings, preCachePath: path }, log), []);
  assert.match(node.taken().join("\n"), /pre-cache: ENOENT.*\n--tofqdns-pre-cache .* it is no JSON/);
});
