import assert from "node:assert/strict";
import { test } from "node:test";
import { formatPrefix } from "@cilium-ts/net";
import { type OperatorOptions, type ParsedSettings, parseSettings } from "./settings.ts";

function parse(args: string[], environment: Record<string, string> = {}, files: Record<string, string> = {}): ParsedSettings {
  return parseSettings(args, environment, (_directory, name) => files[name]);
}

function options(args: string[], environment: Record<string, string> = {}, files: Record<string, string> = {}): OperatorOptions {
  const parsed = parse(args, environment, files);
  assert.ok(parsed.kind === "options", JSON.stringify(parsed));
  return parsed.options;
}

test("without settings the defaults of Cilium hold", () => {
  const found = options([]);
  assert.deepEqual([found.leaseDurationMs, found.renewDeadlineMs, found.retryPeriodMs], [15_000, 10_000, 2_000]);
  assert.deepEqual([found.ipv4?.prefixes.map(formatPrefix), found.ipv4?.maskSize], [["10.0.0.0/8"], 24]);
  assert.deepEqual([found.ipv6?.prefixes.map(formatPrefix), found.ipv6?.maskSize], [["fd00::/104"], 120]);
  assert.deepEqual([found.identityGcIntervalMs, found.identityHeartbeatTimeoutMs, found.identityGcPaceMs], [900_000, 1_800_000, 24]);
  assert.deepEqual([found.endpointGcIntervalMs, found.nodeGcIntervalMs], [300_000, 300_000]);
  assert.deepEqual(found.apiAddress, { host: "127.0.0.1", port: 9234 });
  assert.deepEqual(found.metricsAddress, { host: undefined, port: 9963 });
});

test("a flag wins over the environment, and that over the configuration directory", () => {
  const files = { "cluster-name": "from-file\n", "cluster-pool-ipv4-cidr": "10.1.0.0/16 10.2.0.0/16" };
  assert.equal(options(["--config-dir", "/c"], {}, files).clusterName, "from-file");
  assert.equal(options(["--config-dir", "/c"], { CILIUM_CLUSTER_NAME: "from-env" }, files).clusterName, "from-env");
  assert.equal(options(["--config-dir", "/c", "--cluster-name", "flag"], { CILIUM_CLUSTER_NAME: "e" }, files).clusterName, "flag");
  assert.deepEqual(options(["--config-dir", "/c"], {}, files).ipv4?.prefixes.map(formatPrefix), ["10.1.0.0/16", "10.2.0.0/16"]);
});

test("a family that is off, and a mode without pools, need no pool", () => {
  assert.equal(options(["--enable-ipv6", "false", "--cluster-pool-ipv6-cidr", ""]).ipv6, undefined);
  assert.equal(options(["--ipam", "kubernetes", "--cluster-pool-ipv4-cidr", ""]).ipv4, undefined);
});

test("the first pools are written as Cilium writes them, several with a comma or a space between them", () => {
  const text =
    "default=ipv4-cidrs:10.10.0.0/16,10.20.0.0/16;ipv4-mask-size:24;ipv6-cidrs:fd00:1::/104;ipv6-mask-size:120,blue=ipv4-cidrs:10.30.0.0/16; ipv4-mask-size: 27";
  const ipv4 = { cidrs: ["10.10.0.0/16", "10.20.0.0/16"], maskSize: 24 };
  assert.deepEqual(options(["--auto-create-cilium-pod-ip-pools", text]).firstPools, [
    { name: "default", spec: { ipv4, ipv6: { cidrs: ["fd00:1::/104"], maskSize: 120 } } },
    { name: "blue", spec: { ipv4: { cidrs: ["10.30.0.0/16"], maskSize: 27 } } },
  ]);
});

test("addresses to serve on may be switched off, or left open", () => {
  assert.equal(options(["--operator-api-serve-addr", ""]).apiAddress, undefined);
  assert.deepEqual(options(["--operator-api-serve-addr", "[::1]:0"]).apiAddress, { host: "::1", port: 0 });
  assert.equal(options(["--enable-metrics", "false"]).metricsAddress, undefined);
});

const wrong: readonly [readonly string[], RegExp][] = [
  [["--frob"], /--frob.*--help lists the flags/],
  [["--ipam", "eni"], /--ipam is one of cluster-pool, kubernetes, multi-pool, not "eni"/],
  [
    ["--auto-create-cilium-pod-ip-pools", "default=ipv4-cidr:10.0.0.0/8"],
    /"ipv4-cidr:10\.0\.0\.0\/8" is none of ipv4-cidrs, ipv4-mask-size/,
  ],
  [["--auto-create-cilium-pod-ip-pools", "blue=ipv4-cidrs:10.0.0.0/8"], /pool "blue": spec\.ipv4\.maskSize must be a whole number/],
  [["--enable-ipv4", "yes"], /--enable-ipv4 is true or false, not "yes"/],
  [["--enable-ipv4", "false", "--enable-ipv6", "false"], /cannot both be false/],
  [["--cluster-pool-ipv4-cidr", "10.0.0.0/8,fd00::/8"], /"fd00::\/8" is no IPv4 prefix such as/],
  [["--cluster-pool-ipv4-cidr", "10.0.0.0/25"], /10\.0\.0\.0\/25 is smaller than a pod CIDR of 24 bits/],
  [["--cluster-pool-ipv4-cidr", "10.0.0.0/8,10.1.0.0/16"], /10\.1\.0\.0\/16 overlaps 10\.0\.0\.0\/8/],
  [["--cluster-pool-ipv6-cidr", ""], /must name a prefix, or --enable-ipv6 be false/],
  [["--cluster-pool-ipv4-mask-size", "33"], /whole number from 1 to 32, not "33"/],
  [["--identity-gc-interval", "soon"], /is a time, such as 15s or 5m0s, not "soon"/],
  [["--leader-election-lease-duration", "1500ms"], /in whole seconds/],
  [["--leader-election-renew-deadline", "15s"], /must be shorter than --leader-election-lease-duration/],
  [["--leader-election-retry-period", "6s"], /at most half of --leader-election-renew-deadline/],
  [["--operator-api-serve-addr", "localhost"], /is an address and a port, such as/],
  [["--operator-prometheus-serve-addr", ":70000"], /is an address and a port/],
];
for (const [args, problem] of wrong) {
  test(`refused: ${args.join(" ")}`, () => {
    const parsed = parse([...args]);
    assert.ok(parsed.kind === "problems");
    assert.match(parsed.problems.join("\n"), problem);
  });
}
