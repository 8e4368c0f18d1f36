import assert from "node:assert/strict";
import { test } from "node:test";
import { type ParsedSettings, parseSettings } from "./settings.ts";

const parse = (args: string[], file?: string, environment: Record<string, string> = {}): ParsedSettings =>
  parseSettings(args, environment, () => file);

test("a chart's configuration file is read; flags and the environment win over it", () => {
  const file = `
cluster-name: west
peer-service: "hubble-peer.kube-system.svc.cluster.local.:443"
listen-address: :4245
gops: true
gops-port: "9893"
retry-timeout:
sort-buffer-len-max:
metrics-listen-address: ":9966"
tls-hubble-client-cert-file: /c.crt
tls-hubble-client-key-file: /c.key
tls-hubble-server-ca-files: [/a.crt, /b.crt]
disable-server-tls: true
`;
  const parsed = parse(["--listen-address", "127.0.0.1:1"], file, { HUBBLE_RELAY_CLUSTER_NAME: "east" });
  assert.equal(parsed.kind, "settings");
  if (parsed.kind !== "settings") return;
  const { settings, notes } = parsed;
  assert.deepEqual(settings.peerServices, [{ address: "hubble-peer.kube-system.svc.cluster.local.:443", clusterName: "east" }]);
  assert.deepEqual([settings.listenAddress, settings.metricsListenAddress], ["127.0.0.1:1", ":9966"]);
  assert.deepEqual([settings.retryTimeoutMs, settings.holdMs, settings.heldMax, settings.serverTls], [30_000, 100, 10_000, undefined]);
  assert.deepEqual(settings.clientTls, { certificatePath: "/c.crt", keyPath: "/c.key", authorityPaths: ["/a.crt", "/b.crt"] });
  assert.equal(notes.length, 2);
});

test("all problems are told at once, those of the file first", () => {
  const wrong = ["--listen-address", "nowhere", "--retry-timeout", "soon", "--disable-server-tls", "maybe"];
  assert.deepEqual(parse(wrong, "no-such: 1"), {
    kind: "problems",
    problems: ['/etc/hubble-relay/config.yaml: there is no setting "no-such"'],
  });
  const parsed = parse(wrong, "sort-buffer-len-max: 0");
  assert.deepEqual(parsed.kind === "problems" && parsed.problems.toSorted(), [
    '--disable-server-tls is true or false, not "maybe"',
    '--listen-address is an address such as :4245, not "nowhere"',
    '--retry-timeout is a time, such as 15s or 5m0s, not "soon"',
    '--sort-buffer-len-max is a whole number from 1 to 1000000, not "0"',
  ]);
  for (const text of ["- a", "a: [", "text"]) assert.equal(parse([], text).kind, "problems", text);
  assert.equal(parse(["--config", "/nowhere"]).kind, "problems");
  assert.equal(parse([]).kind, "settings", "the file may be absent where nobody named one");
});

test("each cluster has its peer service", () => {
  const parsed = parse(["--peer-service", "a:443, b:443", "--cluster-name", "east,west"]);
  assert.deepEqual(parsed.kind === "settings" && parsed.settings.peerServices, [
    { address: "a:443", clusterName: "east" },
    { address: "b:443", clusterName: "west" },
  ]);
  const wrong = parse(["--peer-service", "a:443,b", "--cluster-name", "x,y,z"]);
  assert.deepEqual(wrong.kind === "problems" && wrong.problems, [
    '--peer-service is unix:///path or host:port, not "b"',
    "--cluster-name has 3 names for 2 peer services: give one for each, or one for all",
  ]);
});
