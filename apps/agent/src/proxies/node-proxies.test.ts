import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { proxyMark, type TrackedConnection } from "@cilium-ts/datapath";
import { KernelError } from "@cilium-ts/kernel";
import { openFakeKernel } from "@cilium-ts/kernel/testing";
import type { Redirect, ResolvedPolicy, VerdictEntry } from "@cilium-ts/policy";
import { NodeProxies } from "./node-proxies.ts";
import { ProxyPorts } from "./proxy-ports.ts";

const root = mkdtempSync(join(tmpdir(), "cilium-ts-proxies-"));
after(() => rmSync(root, { recursive: true, force: true }));

const redirect: Redirect = { parser: "http", conflicts: [], rules: [{ path: "/a" }], key: "a" };
const entry: VerdictEntry = {
  ...{ direction: "egress", identity: 0, protocol: 6, port: 80, portPrefixLength: 16, deny: false, unallowed: false, audit: false },
  ...{ redirect, precedence: 24, match: 3, origins: [] },
};
const ends = {
  protocol: 6,
  source: Uint8Array.of(10, 0, 0, 5),
  sourcePort: 4000,
  destination: Uint8Array.of(10, 0, 0, 7),
  destinationPort: 80,
};
const tracked: TrackedConnection = {
  sourceIdentity: 1001,
  destinationIdentity: 1002,
  sourceEndpoint: 7,
  destinationEndpoint: 0,
  proxyPort: 10_000,
};

let directories = 0;
function proxiesWith(entries: readonly VerdictEntry[], connection: TrackedConnection | "unknown" = tracked) {
  const kernel = openFakeKernel();
  directories += 1;
  const policy: ResolvedPolicy = { ingressEnforced: true, egressEnforced: true, entries, fingerprint: String(directories) };
  const proxies = new NodeProxies({
    kernel,
    ports: new ProxyPorts(join(root, String(directories))),
    connections: { find: () => (connection === "unknown" ? undefined : connection) },
    policyOf: (id) => (id === 7 ? policy : undefined),
  });
  return { kernel, proxies };
}

test("entries lead to the proxy of their parser and direction, once there is one", () => {
  const { proxies } = proxiesWith([]);
  assert.equal(proxies.portFor(redirect, "egress"), 0);
  assert.deepEqual(
    proxies.open("http", "egress", (place) => place),
    { port: 10_000, mark: proxyMark("egress") },
  );
  assert.deepEqual([proxies.portFor(redirect, "egress"), proxies.portFor(redirect, "ingress")], [10_000, 0]);
  assert.equal(proxies.portFor({ ...redirect, conflicts: ["dns"] }, "egress"), 0, "two parsers at once: nobody can take it");
  assert.deepEqual(proxies.rows(), [{ parser: "http", direction: "egress", port: 10_000 }]);
  assert.throws(() => proxies.open("http", "egress", () => 1), /there is a proxy for http of egress already/);
});

test("a port that is taken is passed over; another failure is told, and then there is no proxy", () => {
  const { proxies } = proxiesWith([]);
  const busy = new KernelError({ message: "bind", syscall: "bind", errno: 98, code: "EADDRINUSE" });
  const listen = ({ port }: { port: number }): number => {
    if (port === 10_000) throw busy;
    return port;
  };
  assert.equal(proxies.open("http", "egress", listen), 10_001);
  const refused = new KernelError({ message: "bind", syscall: "bind", errno: 1, code: "EPERM" });
  assert.throws(() => {
    proxies.open("dns", "egress", () => {
      throw refused;
    });
  }, refused);
  assert.equal(proxies.rows().length, 1);
});

test("a proxy of ingress has the node leave packets on their way to pods alone", () => {
  const { kernel, proxies } = proxiesWith([]);
  const written = (): string | undefined =>
    [...kernel.machine.sysctls.values()].map((map) => map.get("/proc/sys/net/ipv4/ip_early_demux"))[0];
  proxies.open("http", "egress", () => 1);
  assert.equal(written(), undefined);
  proxies.open("http", "ingress", () => 1);
  assert.equal(written(), "0");
});

test("a proxy is told what its endpoint's policy lets through now, and as whom it goes on", () => {
  const found = proxiesWith([entry]).proxies.find(ends, "egress");
  assert.deepEqual([found?.endpointId, found?.redirect, found?.mark], [7, redirect, proxyMark("egress", 1001)]);
  const plain = proxiesWith([{ ...entry, redirect: undefined }]).proxies.find(ends, "egress");
  assert.deepEqual([plain?.endpointId, plain?.redirect], [7, undefined], "policy wants no proxy there any more");
});

for (const [name, entries, connection] of [
  ["the kernel does not know", [entry], "unknown"],
  ["went to no proxy", [entry], { ...tracked, proxyPort: 0 }],
  ["is of an endpoint whose policy is not known yet", [entry], { ...tracked, sourceEndpoint: 8 }],
  ["is of no endpoint", [entry], { ...tracked, sourceEndpoint: 0 }],
  ["is not allowed any more", [], tracked],
  ["is denied now", [{ ...entry, redirect: undefined, deny: true }], tracked],
] as ReadonlyArray<readonly [string, readonly VerdictEntry[], TrackedConnection | "unknown"]>) {
  test(`nothing passes of a connection that ${name}`, () => {
    assert.equal(proxiesWith(entries, connection).proxies.find(ends, "egress"), undefined);
  });
}

test("what of a policy leads to proxies is told once a port, whoever the peers are, and not of parsers without a proxy", () => {
  const { proxies } = proxiesWith([]);
  proxies.open("http", "egress", () => 1);
  const entries = [
    entry,
    { ...entry, identity: 1002 },
    { ...entry, port: 81, redirect: { ...redirect, parser: "kafka" } },
    { ...entry, port: 82, redirect: undefined },
  ];
  const policy = { ingressEnforced: true, egressEnforced: true, entries, fingerprint: "f" };
  assert.deepEqual(proxies.redirectsOf(policy), [{ parser: "http", direction: "egress", protocol: 6, port: 80, proxyPort: 10_000 }]);
});
