import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { test } from "node:test";
import { FlowRing } from "@cilium-ts/flow";
import { buildDrop, buildPacket, buildTrace, buildVerdict, frameRecords, sampleContext } from "@cilium-ts/flow/testing";
import { startHubble } from "@cilium-ts/observer";
import { eventually } from "@cilium-ts/testing";
import { run } from "./run.ts";

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly error: string;
}

function collect(parts: string[]): Writable {
  return new Writable({
    decodeStrings: false,
    write(part, _encoding, done) {
      parts.push(String(part));
      done();
    },
  });
}

async function hubble(
  args: readonly string[],
  options: { env?: Record<string, string>; signal?: AbortSignal; out?: string[]; stdin?: string[] } = {},
): Promise<Ran> {
  const out = options.out ?? [];
  const error: string[] = [];
  const nowMs = (): number => Date.parse("2026-01-01T00:01:00Z");
  const world = {
    stdin: Readable.from(options.stdin ?? []),
    stdout: collect(out),
    stderr: collect(error),
    isTerminal: false,
    env: { HOME: "/nonexistent", ...options.env },
    nowMs,
  };
  const code = await run(args, world, options.signal ?? new AbortController().signal);
  return { code, out: out.join(""), error: error.join("") };
}

for (const [args, expected] of [
  ["", "{}\n"],
  ["--pod foo", { allow: ['{"source_pod":["foo"]}', '{"destination_pod":["foo"]}'] }],
  ["--pod foo --pod a/bar", { allow: ['{"source_pod":["foo","a/bar"]}', '{"destination_pod":["foo","a/bar"]}'] }],
  ["--from-pod a/x --verdict DROPPED", { allow: ['{"source_pod":["a/x"],"verdict":["DROPPED"]}'] }],
  [
    "--pod a/x --to-port 80",
    { allow: ['{"source_pod":["a/x"],"destination_port":["80"]}', '{"destination_pod":["a/x"],"destination_port":["80"]}'] },
  ],
  ["-n bar", { allow: ['{"source_pod":["bar/"]}', '{"destination_pod":["bar/"]}'] }],
  ["--from-namespace a --to-namespace b", { allow: ['{"source_pod":["a/"],"destination_pod":["b/"]}'] }],
  ["-n a -n b --pod x", { allow: ['{"source_pod":["a/x","b/x"]}', '{"destination_pod":["a/x","b/x"]}'] }],
  ["-A", { allow: ['{"source_pod":["/"]}', '{"destination_pod":["/"]}'] }],
  ["--from-namespace a --from-service s", { allow: ['{"source_service":["a/s"]}'] }],
  ["--not --from-ip 2.2.2.2", { deny: ['{"source_ip":["2.2.2.2"]}'] }],
  ["--not --port 53 --protocol udp", { allow: ['{"protocol":["udp"]}'], deny: ['{"source_port":["53"]}', '{"destination_port":["53"]}'] }],
  [
    "-l app=web --identity world",
    { allow: ['{"source_label":["app=web"],"source_identity":[2]}', '{"destination_label":["app=web"],"destination_identity":[2]}'] },
  ],
  ["--type trace:to-stack -t drop", { allow: ['{"event_type":[{"type":4,"match_sub_type":true,"sub_type":3},{"type":1}]}'] }],
  ["--type trace:to-endpoint", { allow: ['{"event_type":[{"type":4,"match_sub_type":true}]}'] }],
  ["--tcp-flags syn,ack --tcp-flags rst", { allow: ['{"tcp_flags":[{"SYN":true,"ACK":true},{"RST":true}]}'] }],
  [
    "--traffic-direction Ingress -4 --ip-version none",
    { allow: ['{"traffic_direction":["INGRESS"],"ip_version":["IPv4","IP_NOT_USED"]}'] },
  ],
  ["--drop-reason-desc POLICY_DENY --node-name k8s*", { allow: ['{"drop_reason_desc":["POLICY_DENY"],"node_name":["k8s*"]}'] }],
  [
    "--workload Deployment/web",
    {
      allow: ['{"source_workload":[{"name":"web","kind":"Deployment"}]}', '{"destination_workload":[{"name":"web","kind":"Deployment"}]}'],
    },
  ],
  [
    `--allowlist {"source_pod":["a/b"]}{"uuid":["it's"]} --denylist {}`,
    { allow: ['{"source_pod":["a/b"]}', `{"uuid":["it''s"]}`], deny: ["{}"] },
  ],
] as const) {
  test(`observe ${args} asks for the right filters`, async () => {
    const ran = await hubble(["observe", ...args.split(" ").filter(Boolean), "--print-raw-filters"]);
    const list = (name: string, filters: readonly string[] | undefined): string =>
      filters === undefined ? "" : `${name}:\n${filters.map((filter) => `    - '${filter}'\n`).join("")}`;
    const yaml =
      typeof expected === "string"
        ? expected
        : list("allowlist", "allow" in expected ? expected.allow : undefined) +
          list("denylist", "deny" in expected ? expected.deny : undefined);
    // Fields stand in the order of the schema, which is of no meaning.
    assert.deepEqual({ ...ran, out: sortKeys(ran.out) }, { code: 0, out: sortKeys(yaml), error: "" });
  });
}

function sortKeys(yaml: string): string {
  return yaml.replaceAll(/'(\{.*\})'/g, (_, json: string) => JSON.stringify(Object.entries(JSON.parse(json.replaceAll("''", "'"))).sort()));
}

for (const [args, problem] of [
  ["observe --first 1 --last 1", /--first and --last cannot be combined/],
  ["observe --first 1 --follow", /--first and --follow cannot be combined/],
  ["observe --all --last 3", /--last and --all cannot be combined/],
  ["observe -o table -f", /-o table cannot be combined with --follow/],
  ["observe -o xml", /output format "xml" is none of compact, dict, json, jsonpb, table/],
  ["observe --verdict DENIED", /--verdict "DENIED" is none of /],
  ["observe --drop-reason-desc POLICY", /is none of POLICY_DENIED, .*POLICY_DENY/],
  ["observe --not", /--not at the end/],
  ["observe --not --not --pod x", /--not stands twice/],
  ["observe --fqdn x --from-namespace y", /filters --fqdn and --from-namespace cannot be combined/],
  ["observe --pod a/x --from-pod y", /filters --pod and --from-pod cannot be combined/],
  ["observe --from-pod a/x --from-namespace b", /namespace conflict: "a\/x" is not in namespace "b"/],
  ["observe --type nonsense", /"nonsense" is none of capture, drop/],
  ["observe --tcp-flags syn,nope", /TCP flag "nope" is none of/],
  ["observe --identity someone", /identity "someone" is neither a number nor one of host, world/],
  ["observe --since yesterday", /time "yesterday" cannot be read/],
  ["observe --last many", /--last "many" is no number/],
  ["observe --time-format ISO", /time format "ISO" is none of/],
  ["observe --color sometimes", /--color "sometimes"/],
  ["observe --allowlist {", /--allowlist "\{" is no flow filter in JSON/],
  ['observe --allowlist {"nope":1}', /is no flow filter in JSON/],
  ["observe --server nowhere", /server "nowhere" is neither unix:\/\/\/path nor host:port/],
  ["observe --server tls://localhost:1", /cannot reach the Hubble server at tls:\/\/localhost:1: nobody listens there/],
  ["observe --server tls://x:1 --tls-ca-cert-files /nowhere", /--tls-ca-cert-files \/nowhere cannot be read/],
  ["observe --input-file /nowhere", /--input-file \/nowhere cannot be read/],
  ["observe --input-file - --pod x", /filters cannot be combined with --input-file/],
  ["config set colour red", /there is no setting "colour": there are server, /],
  [
    "observe --server unix:///nowhere/hubble.sock",
    /cannot reach the Hubble server at unix:\/\/\/nowhere\/hubble.sock: there is no such socket/,
  ],
  ["status --server 127.0.0.1:1", /cannot reach the Hubble server at 127.0.0.1:1: nobody listens there/],
  ["observe --bogus", /unknown option '--bogus'/],
  ["bogus", /(unknown command|too many arguments)/],
] as const) {
  test(`${args}: one sentence and a failure`, async () => {
    const ran = await hubble(args.split(" "));
    assert.equal(ran.code, 1);
    assert.equal(ran.out, "");
    assert.match(ran.error, problem);
    assert.ok(ran.error.trim().split("\n").length <= 1, ran.error);
  });
}

test("version", async () => assert.match((await hubble(["version"])).out, /^hubble v0\.1\.0 on Node v/));

const packet = buildPacket({ source: "10.0.0.1", destination: "10.0.0.2", tcp: { sourcePort: 40000, destinationPort: 80, flags: 2 } });
const answer = buildPacket({ source: "fd00::2", destination: "fd00::1", tcp: { sourcePort: 80, destinationPort: 40000, flags: 18 } });
const events = frameRecords([
  buildVerdict({ timeNs: 1e9, reporter: 22, remoteIdentity: 1001, verdict: 0, flags: 1 | (2 << 3), cookie: 9, packet }),
  buildDrop({ timeNs: 2e9, reporter: 11, reason: 133, sourceIdentity: 1001, destinationIdentity: 1002, packet }),
  buildTrace({ timeNs: 3e9, reporter: 11, point: 0, reason: 2, sourceIdentity: 1002, destinationIdentity: 1001, packet: answer }),
]);
const lines = [
  "Jan  1 00:00:01.000: default/client:40000 (ID:1001) -> shop/web:80 (ID:1002) policy-verdict:L3-L4 INGRESS ALLOWED (TCP Flags: SYN)",
  "Jan  1 00:00:02.000: default/client:40000 (ID:1001) <> shop/web:80 (ID:1002) Policy denied DROPPED (TCP Flags: SYN)",
  "Jan  1 00:00:03.000: default/client:40000 (ID:1001) <- shop/web:80 (ID:1002) to-endpoint FORWARDED (TCP Flags: SYN, ACK)",
] as const;

test("observe and status, against a server", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hubble-"));
  const address = `unix://${join(folder, "hubble.sock")}`;
  const env = { HUBBLE_SERVER: address };
  const ring = new FlowRing({ capacity: 7, instance: new Uint8Array(9) });
  const server = await startHubble({
    socketPath: join(folder, "hubble.sock"),
    ring,
    context: sampleContext(),
    version: "0.1.0",
    nowNs: () => 60e9,
  });
  try {
    ring.append(events);
    const shown = async (...args: string[]): Promise<string[]> => {
      const ran = await hubble(["observe", ...args], { env });
      assert.deepEqual([ran.code, ran.error], [0, ""]);
      return ran.out.trimEnd().split("\n").filter(Boolean);
    };
    assert.deepEqual(await shown(), lines);
    assert.deepEqual(await shown("flows", "--last", "1"), [lines[2]]);
    assert.deepEqual(await shown("--first", "1"), [lines[0]]);
    assert.deepEqual(await shown("--all", "--verdict", "DROPPED", "--from-pod", "default/client"), [lines[1]]);
    assert.deepEqual(await shown("--since", "58s", "--not", "--ipv6"), [lines[1]]);
    assert.deepEqual(await shown("--until", "2026-01-01T00:00:01Z"), [lines[0]]);
    assert.deepEqual(await shown("--last", "1", "--numeric"), [
      "Jan  1 00:00:03.000: [fd00::1]:40000 (ID:1001) <- [fd00::2]:80 (ID:1002) to-endpoint FORWARDED (TCP Flags: SYN, ACK)",
    ]);
    assert.match((await shown("--first", "1", "--print-policy-names")).join(), /ALLOWED BY web \(CiliumNetworkPolicy\)/);
    const [json = ""] = await shown("--verdict", "DROPPED", "-o", "json");
    assert.equal(JSON.parse(json).flow.drop_reason_desc, "POLICY_DENIED");
    assert.deepEqual(JSON.parse(json).flow.source.labels, ["k8s:app=client", "k8s:io.kubernetes.pod.namespace=default"]);
    const [masked = ""] = await shown("--last", "1", "-o", "json", "--experimental-field-mask", "verdict,source.pod_name");
    assert.deepEqual(JSON.parse(masked), { flow: { verdict: "FORWARDED", source: { pod_name: "web" } } });

    const refused = await hubble(["observe", "--from-ip", "x"], { env });
    assert.deepEqual([refused.code, refused.out], [1, ""]);
    assert.match(refused.error, /invalid filter: IP "x" is neither an address nor a CIDR \(InvalidArgument\)/);

    const status = await hubble(["status"], { env });
    assert.deepEqual(status, {
      code: 0,
      out: `Healthcheck (via ${address}): Ok\nCurrent/Max Flows: 3/7 (42.86%)\nFlows/s: 0.05\n`,
      error: "",
    });
    assert.equal(JSON.parse((await hubble(["status", "-o", "json"], { env })).out).max_flows, "7");

    const reflected = await hubble(["reflect"], { env });
    assert.deepEqual([reflected.code, reflected.error], [0, ""]);
    assert.match(
      reflected.out,
      /^service observer\.Observer \{\n {2}rpc GetFlows\(observer\.GetFlowsRequest\) returns \(stream observer\.GetFlowsResponse\);\n/m,
    );
    assert.match(reflected.out, /^service grpc\.health\.v1\.Health \{\n/m);
    const gone = await hubble(["reflect", "--server", `${address}-not`], { env });
    assert.deepEqual([gone.code, gone.out], [1, ""]);

    const leave = new AbortController();
    const out: string[] = [];
    const following = hubble(["observe", "--follow"], { env, signal: leave.signal, out });
    await eventually(() => assert.equal(server.streamCount, 1));
    ring.append(events);
    await eventually(() => assert.equal(out.join(""), `${lines.join("\n")}\n`));
    leave.abort();
    assert.equal((await following).code, 0);
  } finally {
    await server[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  }
});
