import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { createRandom } from "@cilium-ts/testing";
import { madeFlow, podEnd, worldEnd } from "./made-flow.ts";
import type { Link, LinkCounts, MapChanges } from "./service-map.ts";
import { defaultServiceMapLimits, ServiceMap } from "./service-map.ts";

function mapOf(...flows: readonly Partial<ReturnType<typeof madeFlow>>[]): MapChanges {
  const map = new ServiceMap();
  for (const flow of flows) map.add(madeFlow(flow));
  return map.changesSince(0);
}

suite("a service", () => {
  test("in the cluster is who shares an identity, named by its labels", () => {
    const { services } = mapOf(
      {},
      { source: podEnd("default/client", { ip: "10.0.0.9", pod: "client-2", identity: podEnd("default/client").identity }) },
    );
    assert.deepEqual(
      services.map(({ name, namespace, kind }) => `${kind} ${namespace}/${name}`),
      ["workload default/client", "workload default/server"],
    );
  });

  for (const [what, end, id, name] of [
    ["the world without a name", worldEnd(), "world-receiver", "World"],
    ["a name of DNS", worldEnd({ names: ["api.example.com"] }), "api.example.com-receiver", "api.example.com"],
    [
      "a prefix of a policy",
      worldEnd({ identity: 16_777_217, labels: ["cidr:10.0.0.0/8", "cidr:10.1.0.0/16", "reserved:world"] }),
      "10.1.0.0/16-receiver",
      "10.1.0.0/16",
    ],
    ["a workload of elsewhere", worldEnd({ workloads: [{ kind: "VM", name: "db" }] }), "VM/db", "db"],
    ["the node", { ...worldEnd(), identity: 1, labels: ["reserved:host"] }, "1", "Host"],
    [
      "another node by its own identity",
      { ...worldEnd(), identity: (2 << 24) + 1, labels: ["reserved:remote-node"] },
      String((2 << 24) + 1),
      "Other nodes",
    ],
    ["the API server", { ...worldEnd(), identity: 7, labels: ["reserved:kube-apiserver"] }, "7", "Kubernetes API"],
    ["nobody that is known", { ...worldEnd(), identity: 0, labels: [] }, "unknown-receiver", "Unknown"],
    ["the pod of another cluster", podEnd("default/x", { cluster: "east", identity: 70_000 }), "70000@east", "x"],
  ] as const) {
    test(`is ${what}`, () => {
      const { services, links } = mapOf({ destination: { ...end, port: 80 } });
      assert.equal(links[0]?.destination, id);
      assert.equal(services.find((service) => service.id === id)?.name, name);
    });
  }

  test("tells anew what policies mean for it, and nothing when that is as before", () => {
    let ingress: "none" | "enforced" = "none";
    const map = new ServiceMap(defaultServiceMapLimits, ({ name }) => (name === "server" ? { ingress, egress: "none" } : null));
    map.add(madeFlow());
    const policiesSince = (version: number) => map.changesSince(version).services.map(({ name, policy }) => `${name} ${policy?.ingress}`);
    assert.deepEqual(policiesSince(0), ["client undefined", "server none"]);
    const { version } = map;
    ingress = "enforced";
    map.updatePolicies();
    assert.deepEqual(policiesSince(version), ["server enforced"]);
    const { version: later } = map;
    map.updatePolicies();
    assert.deepEqual(policiesSince(later), []);
  });

  test("of the world that calls is another than the one that is called", () => {
    const { links } = mapOf({ destination: worldEnd({ port: 80 }) }, { source: worldEnd({ port: 50_000 }) });
    assert.deepEqual(
      links.map(({ source, destination }) => [source, destination].filter((id) => id.startsWith("world"))),
      [["world-receiver"], ["world-sender"]],
    );
  });

  test("gets the names that are learned later", () => {
    const map = new ServiceMap();
    map.add(madeFlow({ destination: podEnd("default/server", { labels: [], pod: "", port: 80 }) }));
    const before = map.version;
    map.add(madeFlow({ destination: podEnd("default/server", { port: 80, identity: podEnd("default/server").identity }) }));
    assert.deepEqual(
      map.changesSince(before).services.map(({ name }) => name),
      ["server"],
    );
  });
});

suite("a link", () => {
  test("counts answers for the side that was asked", () => {
    const flow = madeFlow();
    const { links, counts } = mapOf(flow, { ...flow, source: flow.destination, destination: flow.source, isReply: true });
    assert.equal(links.length, 1);
    assert.equal(links[0]?.port, 8_080);
    assert.deepEqual(counts, [[1, 2, 0, 0, 0]]);
  });

  test("takes a packet from a well-known to a passing port for an answer where the kernel does not say", () => {
    const flow = madeFlow();
    assert.equal(mapOf(flow, { source: flow.destination, destination: flow.source }).links.length, 1);
  });

  test("tells all verdicts that it has seen", () => {
    const { links, counts } = mapOf({}, { verdict: "dropped" }, { verdict: "dropped" }, { verdict: "audit" });
    assert.deepEqual(links[0]?.verdicts, ["forwarded", "dropped", "audit"]);
    assert.deepEqual(counts, [[1, 1, 2, 1, 0]]);
  });

  test("exists without ports too", () => {
    const { links } = mapOf({ protocol: "ICMPv4", source: podEnd("a/b"), destination: podEnd("a/c") });
    assert.equal(links[0]?.port, 0);
  });

  test("tells what is asked over it, and how it is protected", () => {
    const request = { kind: "http", method: "GET", target: "/orders", status: 0, latencyNs: 0 } as const;
    const { links } = mapOf({ request, isEncrypted: true }, { request, authentication: "SPIRE" }, { request: { ...request, status: 200 } });
    assert.deepEqual(links[0]?.requests, [{ kind: "http", method: "GET", target: "/orders", count: 2 }]);
    assert.equal(links[0]?.authentication, "SPIRE");
    assert.equal(links[0]?.isEncrypted, true);
  });

  test("stands for further ports when somebody tries them all", () => {
    const map = new ServiceMap();
    for (let port = 1; port <= 1_000; port += 1) map.add(madeFlow({ destination: podEnd("default/server", { port }) }));
    const { links } = map.changesSince(0);
    assert.equal(links.length, 65);
    assert.ok(links.some(({ port }) => port === 0));
  });
});

test("what was not seen for an hour goes, and services that are left alone with it", () => {
  const map = new ServiceMap();
  map.add(madeFlow({ timeMs: 0 }));
  map.add(madeFlow({ timeMs: 1_000_000, destination: podEnd("default/other", { port: 80 }) }));
  const before = map.version;
  map.expire(3_600_001);
  const changes = map.changesSince(before);
  assert.deepEqual(changes.removedServices, [String(podEnd("default/server").identity)]);
  assert.equal(changes.removedLinks.length, 1);
  assert.deepEqual(map.size, { services: 2, links: 1 });
});

test("a full map lets the links go that were not used for longest, and counts them", () => {
  const map = new ServiceMap({ ...defaultServiceMapLimits, serviceCountMax: 10, linkCountMax: 20 });
  for (let index = 0; index < 200; index += 1)
    map.add(madeFlow({ destination: podEnd(`default/s${index}`, { identity: 20_000 + index, port: 80 }) }));
  assert.ok(map.size.services <= 10 && map.size.links <= 20, JSON.stringify(map.size));
  assert.ok(map.evicted >= 180);
});

test("a reader who asks now and then knows the same as one who asks at the end", () => {
  const random = createRandom(3);
  const map = new ServiceMap({ serviceCountMax: 12, linkCountMax: 20, linkAgeMs: 500 });
  const read = new ReadMap();
  for (let round = 0; round < 4_000; round += 1) {
    const pods = ["a/p1", "a/p2", "a/p3", "b/p4", "b/p5", "b/p6", "b/p7"];
    const ends = { source: podEnd(random.pick(pods), { port: 40_000 }), destination: podEnd(random.pick(pods), { port: random.below(4) }) };
    map.add(madeFlow({ ...ends, timeMs: round, verdict: random.pick(["forwarded", "dropped", "audit"]) }));
    if (random.chance(0.02)) map.expire(round);
    if (random.chance(0.1)) read.take(map);
  }
  read.take(map);
  const whole = new ReadMap();
  whole.take(map);
  assert.deepEqual(read.sorted(), whole.sorted());
});

test("a reader who was away for too long is told to begin anew", () => {
  const map = new ServiceMap({ ...defaultServiceMapLimits, linkCountMax: 1 });
  map.add(madeFlow());
  const { version } = map;
  assert.ok(map.knows(version));
  for (let index = 0; index < 20_000; index += 1) map.add(madeFlow({ destination: podEnd("default/server", { port: index % 7 }) }));
  assert.equal(map.knows(version), false);
  assert.equal(map.knows(map.version), true);
  assert.equal(map.knows(map.version + 1), false);
});

/** What somebody knows who was told only changes. */
class ReadMap {
  #version = 0;
  readonly #services = new Map<string, unknown>();
  readonly #links = new Map<string, Link>();
  readonly #counts = new Map<number, LinkCounts>();

  take(map: ServiceMap): void {
    if (!map.knows(this.#version)) {
      this.#version = 0;
      for (const known of [this.#services, this.#links, this.#counts]) known.clear();
    }
    const { services, links, counts, removedServices, removedLinks } = map.changesSince(this.#version);
    for (const id of removedServices) this.#services.delete(id);
    for (const id of removedLinks) this.#links.delete(id);
    for (const service of services) this.#services.set(service.id, service);
    for (const link of links) this.#links.set(link.id, link);
    for (const count of counts) this.#counts.set(count[0], count);
    this.#version = map.version;
  }

  sorted(): unknown {
    const links = [...this.#links.values()].sort((left, right) => left.number - right.number);
    return { services: [...this.#services.keys()].sort(), links, counts: links.map(({ number }) => this.#counts.get(number)) };
  }
}
