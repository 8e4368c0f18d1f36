import assert from "node:assert/strict";
import { test } from "node:test";
import { type ParsedSettings, parseSettings } from "./settings.ts";

function parse(args: string[], environment: Record<string, string> = {}, files: Record<string, string> = {}): ParsedSettings {
  return parseSettings(args, environment, (_directory, name) => files[name]);
}

test("a flag wins over the environment, and that over the configuration directory", () => {
  const files = { "cluster-name": "from-file\n", "node-name": "n" };
  const name = (parsed: ParsedSettings): string => (parsed.kind === "options" ? parsed.options.clusterName : "problems");
  assert.equal(name(parse(["--config-dir", "/c"], {}, files)), "from-file");
  assert.equal(name(parse(["--config-dir", "/c"], { CILIUM_CLUSTER_NAME: "from-env" }, files)), "from-env");
  assert.equal(name(parse(["--config-dir", "/c", "--cluster-name", "flag"], { CILIUM_CLUSTER_NAME: "from-env" }, files)), "flag");
});

test("all problems are told at once, each with what would be right", () => {
  const parsed = parse([
    "--ipv4-range",
    "10.0.0.0/33",
    "--mtu",
    "big",
    "--enable-policy",
    "sometimes",
    "--hubble-event-buffer-capacity",
    "4096",
  ]);
  assert.equal(parsed.kind, "problems");
  assert.deepEqual(parsed.kind === "problems" && parsed.problems, [
    '--ipv4-range is an IPv4 prefix of 8 to 30 bits, such as 10.0.1.0/24, not "10.0.0.0/33"',
    '--mtu is a whole number from 0 to 65535, not "big"',
    '--enable-policy is one of default, always, never, not "sometimes"',
    "--hubble-event-buffer-capacity is one less than a power of two, such as 4095, not 4096",
  ]);
});

test("the option of trace ids is one that a packet has once", () => {
  const parsed = parse(["--ip-tracing-option-type", "136"]);
  assert.equal(parsed.kind === "options" && parsed.options.ipTraceOption, 136);
  assert.equal(parse(["--ip-tracing-option-type", "1"]).kind, "problems");
  assert.equal(parse(["--ip-tracing-option-type", "256"]).kind, "problems");
});

test("an unknown flag is named", () => {
  const parsed = parse(["--no-such-flag"]);
  assert.ok(parsed.kind === "problems" && parsed.problems[0]?.includes("--no-such-flag"));
});

test("Hubble's TCP address and certificates are read as Cilium names them", () => {
  const parsed = parse(["--hubble-listen-address", ":4244", "--hubble-tls-client-ca-files", "/a,/b"], {
    CILIUM_HUBBLE_TLS_CERT_FILE: "/c",
    CILIUM_HUBBLE_TLS_KEY_FILE: "/k",
  });
  assert.equal(parsed.kind, "options");
  assert.deepEqual(parsed.kind === "options" && parsed.options.hubble, {
    listenAddress: ":4244",
    disableTls: false,
    tlsCertFile: "/c",
    tlsKeyFile: "/k",
    tlsClientCaFiles: ["/a", "/b"],
    metrics: { address: undefined, tls: undefined, openMetrics: false, wanted: [], dynamicPath: "" },
    exporters: [],
    flowLogsPath: "",
    dropEvents: undefined,
    tlsDirectory: "/var/lib/cilium/hubble-tls",
    history: {
      directory: "/var/lib/cilium/hubble-history",
      sizeBytesMax: 268_435_456,
      ageMsMax: 86_400_000,
      traffic: { sizeBytesMax: 33_554_432, ageMsMax: 604_800_000 },
    },
  });
  const without = parse(["--hubble-history-max-size-mb", "0"]);
  assert.equal(without.kind === "options" && without.options.hubble.history, undefined);
  const wrong = parse(["--hubble-listen-address", "4244", "--hubble-tls-cert-file", "/c", "--hubble-disable-tls", "yes"]);
  assert.deepEqual(wrong.kind === "problems" && wrong.problems, [
    '--hubble-disable-tls is true or false, not "yes"',
    '--hubble-listen-address is an address such as :4244, not "4244"',
    "--hubble-tls-cert-file and --hubble-tls-key-file are given both, or none",
  ]);
});

test("what becomes of flows is read as Cilium names it", () => {
  const parsed = parse([
    ...["--hubble-metrics", "dns:query drop", "--hubble-metrics-server", ":9965", "--enable-hubble-open-metrics", "true"],
    ...["--hubble-export-file-path", "/x/events.log", "--hubble-export-allowlist", '{"verdict":["DROPPED"]} {"protocol":["udp"]}'],
    ...["--hubble-export-fieldmask", "time source.pod_name", "--hubble-export-file-compress", "true"],
    ...["--hubble-drop-events", "true", "--hubble-drop-events-interval", "5m"],
  ]);
  assert.ok(parsed.kind === "options", JSON.stringify(parsed));
  const { metrics, exporters, dropEvents } = parsed.options.hubble;
  assert.deepEqual(metrics.address, { host: undefined, port: 9965 });
  assert.deepEqual(
    metrics.wanted.map(({ name, options }) => [name, [...options.keys()]]),
    [
      ["dns", ["query"]],
      ["drop", []],
    ],
  );
  assert.deepEqual(
    exporters.map(({ target, compress, sizeBytesMax }) => [target, compress, sizeBytesMax]),
    [["/x/events.log", true, 10 * 1_048_576]],
  );
  assert.deepEqual(dropEvents, { intervalMs: 300_000, reasons: ["auth_required", "policy_denied"] });
  const collector = parse([
    ...["--hubble-export-otlp-endpoint", "grpcs://collector:4317", "--hubble-export-otlp-ca-file", "/ca.crt"],
    ...["--hubble-export-otlp-headers", "Authorization=Bearer%20abc%3D,x-tenant=blue"],
  ]);
  assert.deepEqual(collector.kind === "options" && collector.options.hubble.exporters[0]?.otlp, {
    headers: { authorization: "Bearer abc=", "x-tenant": "blue" },
    ...{ caFile: "/ca.crt", certFile: "", keyFile: "" },
  });
  const wrong = parse([
    ...["--hubble-metrics", "dsn", "--hubble-metrics-server", "9965", "--hubble-export-denylist", "{"],
    ...["--hubble-export-file-path", "/x", "--hubble-export-fieldmask", "nonsense"],
  ]);
  const problems = wrong.kind === "problems" ? wrong.problems.join("\n") : "";
  for (const part of [
    '--hubble-metrics: metric "dsn"',
    "--hubble-metrics-server is an address",
    "--hubble-export-denylist: { is no JSON",
    "--hubble-export-file-path: field mask path",
  ])
    assert.ok(problems.includes(part), `${part} is not in ${problems}`);
});

test("what the DNS proxy does is said with Cilium's words", () => {
  const parsed = parse([
    ...["--tofqdns-min-ttl", "60", "--tofqdns-dns-reject-response-code", "nameError"],
    ...["--tofqdns-proxy-response-max-delay", "250ms", "--dnsproxy-concurrency-limit", "7", "--enable-l7-proxy", "false"],
  ]);
  const { ttlSMin, refusedWith, answerDelayMsMax, inFlightMax, enabled } = parsed.kind === "options" ? parsed.options.dns : assert.fail();
  assert.deepEqual([ttlSMin, refusedWith, answerDelayMsMax, inFlightMax, enabled], [60, 3, 250, 7, false]);
  const usual = parse([]);
  assert.deepEqual(usual.kind === "options" && [usual.options.dns.inFlightMax, usual.options.dns.refusedWith], [4_096, 5]);
  const wrong = parse(["--tofqdns-dns-reject-response-code", "rude"]);
  assert.match(
    wrong.kind === "problems" ? wrong.problems.join() : "",
    /--tofqdns-dns-reject-response-code is one of refused, nameError|refused or nameError/,
  );
});
