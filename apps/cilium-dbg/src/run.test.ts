import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { after, before, test } from "node:test";
import { agentRoutes, type HostFirewallStatus, openAgentSocket, type StatusResponse, serveAgentApi } from "@cilium-ts/agent-api";
import { openFakeKernel } from "@cilium-ts/kernel/testing";
import { run } from "./run.ts";
import { endpoints, identities, sampleOperations } from "./sample-agent.ts";
import { statusText as textOf } from "./status.ts";

const folder = mkdtempSync(join(tmpdir(), "cilium-dbg-"));
const socketPath = join(folder, "cilium.sock");
const stop = new AbortController();
let serving: Promise<void> = Promise.resolve();

before(async () => {
  const socket = await openAgentSocket({ socketPath });
  serving = serveAgentApi({ socket, routes: agentRoutes(sampleOperations), signal: stop.signal }).finally(() =>
    socket[Symbol.asyncDispose](),
  );
});

after(async () => {
  stop.abort();
  await serving;
  rmSync(folder, { recursive: true });
});

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly error: string;
}

async function dbg(line: string, env: Record<string, string> = { CILIUM_SOCK: socketPath }): Promise<Ran> {
  const out: string[] = [];
  const error: string[] = [];
  const collect = (parts: string[]): Writable =>
    new Writable({ decodeStrings: false, write: (part, _encoding, done) => done(void parts.push(String(part)) as undefined) });
  const world = { stdout: collect(out), stderr: collect(error), env, openKernel: async () => openFakeKernel() };
  const code = await run(line.split(" ").filter(Boolean), world, new AbortController().signal);
  return { code, out: out.join(""), error: error.join("") };
}

const statusText = `
KVStore:                 Disabled
Kubernetes:              Failure    the API server is away
Host firewall:           Enabled    [eth0, eth1]
Cilium:                  Ok         cilium-ts 0.1.0
NodeMonitor:             Listening for events on 2 CPUs with 1024x4096 of shared memory; 3 events lost, 0 not understood
IPAM:                    IPv4: 2/253 allocated, IPv6: 1/65533 allocated
Attach Mode:             TCX
Device Mode:             veth
Controller Status:       1/2 healthy
  Name      Last success   Last error             Count   Message
  publish   never          2026-01-01T00:00:00Z   4       no route
Global Identity Range:   min 256, max 65535
Proxy Status:            OK, ip 10.0.1.1, 1 redirect active on ports 10000-20000
Hubble:                  Ok              Current/Max Flows: 1024/4095 (25.01%), Flows/s: 2.00
Cluster health:          Probe disabled
`;

const tables: ReadonlyArray<readonly [string, string]> = [
  ["status", statusText],
  [
    "endpoint list",
    `
ENDPOINT   POLICY (ingress)   POLICY (egress)   IDENTITY        LABELS (source:key[=value])               IPv6       IPv4        STATUS
           ENFORCEMENT        ENFORCEMENT
11         Disabled           Disabled          <no label id>                                                        10.0.1.11   waiting-for-identity
22         Enabled            Enabled           1002            k8s:app=server                            fd00::22   10.0.1.22   ready
                                                                k8s:io.kubernetes.pod.namespace=default
`,
  ],
  ["endpoint config 22", "\nPolicyAuditMode   : Disabled\n"],
  ["nodeid list", "\nNODE ID   IP ADDRESSES\n3         192.0.2.3,2001:db8::3\n"],
  ["debuginfo", '\n{\n  "cilium-version": "cilium-ts 0.1.0"\n}\n'],
  ["policy wait 0", "\n"],
  [
    "endpoint health 22",
    `
Overall Health:   OK
BPF Health:       OK
Policy Health:    Pending
Connected:        yes
`,
  ],
  [
    "endpoint log 22",
    `
Timestamp                  Status   State       Message
2026-01-01T00:00:01.000Z   Failed   not-ready   policy could not be enforced
2026-01-01T00:00:00.000Z   OK       ready       policy enforced
`,
  ],
  [
    "endpoint labels 22",
    `
k8s:app=client                            Enabled
k8s:io.kubernetes.pod.namespace=default   Enabled
k8s:pod-template-hash=1                   Disabled
`,
  ],
  [
    "identity list",
    `
ID     LABELS
1      reserved:host
1001   k8s:app=client
       k8s:io.kubernetes.pod.namespace=default
1002   k8s:app=server
       k8s:io.kubernetes.pod.namespace=default
`,
  ],
  ["identity list reserved:host", "\nID   LABELS\n1    reserved:host\n"],
  [
    "identity list --endpoints",
    `
ID     LABELS                                    REFCOUNT
1002   k8s:app=server                            3
       k8s:io.kubernetes.pod.namespace=default
`,
  ],
  ["identity get 1", "\nID   LABELS\n1    reserved:host\n"],
  [
    "fqdn cache list -p *.test",
    `
Endpoint   Source   FQDN        TTL   ExpirationTime             IPs
11         lookup   www.test.   30    2026-01-01T00:00:30.000Z   192.0.2.1,192.0.2.2
`,
  ],
  ["fqdn cache list -s connection", "\nEndpoint   Source   FQDN   TTL   ExpirationTime   IPs\n"],
  ["fqdn cache clean -f", "\nFQDN cache cleared\n"],
  [
    "fqdn names",
    `
SELECTOR                               EXPRESSION
MatchName: www.test., MatchPattern:    ^www[.]test[.]$
`,
  ],
  [
    "ip list",
    `
IP             IDENTITY                                  SOURCE
0.0.0.0/0      9                                         restored
10.0.1.22/32   k8s:app=server                            local
               k8s:io.kubernetes.pod.namespace=default
`,
  ],
  [
    "ip get 10.0.1.0/24 -n -v",
    `
IP             IDENTITY   SOURCE     HOST          ENCRYPT KEY
0.0.0.0/0      9          restored                 0
10.0.1.22/32   1002       local      172.31.0.11   0
`,
  ],
  [
    "node list",
    `
Name            IPv4 Address   Endpoint CIDR   IPv6 Address   Endpoint CIDR   Source
default/node1   172.31.0.11    10.0.1.0/24                    fd00::/112      local
`,
  ],
  ["map list", "\nName     Num entries   Num errors   Cache enabled\npolicy   0             0            false\n"],
  ["map get policy", "\nKey    Value   State   Error\n00ff   01      sync\n"],
  [
    "policy get",
    `
[
  {
    "ingress": []
  }
]
Revision: 7
`,
  ],
  [
    "policy selectors",
    `
SELECTOR         LABELS        USERS   IDENTITIES
any.app=client   default/web   1       1001
                                       1003
`,
  ],
  [
    "policy explain default/client app=server 80",
    `
Verdict: denied (port 80/TCP)

From: default/client, endpoint 11, identity 1001
        k8s:app=client
        k8s:io.kubernetes.pod.namespace=default
To:   identity 1002
        k8s:app=server
        k8s:io.kubernetes.pod.namespace=default

Egress (policies of the sender): allowed
  everything is allowed at default/client: no policy selects it for egress
  What would change it:
    - a policy with an egress section that selects default/client drops what it does not allow

Ingress (policies of the receiver): denied
  traffic from default/client on 80/TCP is denied at default/server
  Deciding rules (match L3-L4):
    - CiliumNetworkPolicy default/web at ingressDeny[0].toPorts[0]
  Policies that select it:
    - CiliumNetworkPolicy default/web
  What would change it:
    - without ingressDeny[0] it would be allowed
  The smallest policy that would allow it:
    kind: CiliumNetworkPolicy
    spec:
      egress: []
`,
  ],
  ["policy explain default/client app=server 80 --remedy", "\n---\nkind: CiliumNetworkPolicy\nspec:\n  egress: []\n"],
  [
    "config",
    "\n##### Read-write configurations #####\nDebug                             : Disabled\nPolicyEnforcement                 : default\n",
  ],
];

for (const [line, text] of tables) {
  test(line, async () => assert.deepEqual(await dbg(line), { code: 0, out: text.slice(1), error: "" }));
}

test("status --verbose has all there is", async () => {
  const { code, out } = await dbg("status --verbose");
  assert.equal(code, 0);
  assert.match(out, /^Allocated addresses:\n {2}10\.0\.1\.11 \(default\/client\)\n {2}10\.0\.1\.22 \(default\/server\)$/m);
  assert.match(out, /^ {2}sync {6}never {10}never {18}0 {7}no error$/m);
  assert.match(out, /^BPF Maps:\n {2}Name {5}Size\n {2}policy {3}1048576$/m);
  assert.match(out, /^Nodes:\n {2}Name .*\n {2}default\/node1 /m);
});

test("status --brief is for probes", async () => assert.deepEqual(await dbg("status --brief"), { code: 0, out: "OK\n", error: "" }));

test("config --all shows what cannot be changed", async () => {
  const { out } = await dbg("config --all");
  assert.match(out, /^#### Read-only configurations ####\naddressing\.ipv4\.ip {16}: 10\.0\.1\.1\ndeviceMTU {25}: 1450\n#####/);
});

test("every list is also JSON and YAML", async () => {
  assert.deepEqual(JSON.parse((await dbg("endpoint list -o json")).out), [endpoints[1], endpoints[0]]);
  assert.deepEqual(JSON.parse((await dbg("endpoint get 22")).out), [endpoints[0]]);
  assert.deepEqual(JSON.parse((await dbg("identity get 1 -o json")).out), [identities[1]]);
  assert.equal((await dbg("identity get 1 -o yaml")).out, "- id: 1\n  labels:\n    - reserved:host\n");
  assert.equal(JSON.parse((await dbg("policy explain 11 22 80/TCP -o json")).out).ingress.verdict, "denied");
  for (const line of ["status", "ip list", "node list", "map list", "policy get", "config", "version"]) {
    const { code, out } = await dbg(`${line} -o json`);
    assert.equal(code, 0, line);
    assert.equal(typeof JSON.parse(out), "object", line);
  }
});

test("policies of the node that are on trial are shown, and kept on demand", async () => {
  const firewall = (trial: NonNullable<HostFirewallStatus["trial"]>): string =>
    textOf({ "host-firewall": { mode: "Enabled", devices: ["eth0"], trial } });
  const tried = firewall({ state: "tried", until: "2026-01-01T00:01:00.000Z", lost: ["SSH on port 22 for anybody"] });
  assert.match(
    tried,
    /^Host firewall: +Enabled +\[eth0\], ON TRIAL until 2026-01-01T00:01:00.000Z: cut off: SSH on port 22 for anybody \(/m,
  );
  const reverted = firewall({ state: "reverted", at: "2026-01-01T00:01:00.000Z", reason: "SSH would be cut off" });
  assert.match(reverted, /^Host firewall: +Enabled +\[eth0\], policies taken back at .* because SSH would be cut off$/m);
  assert.deepEqual(await dbg("host-firewall confirm"), { code: 0, out: "The policies of this node stay.\n", error: "" });
});

test("an agent that is not ready is shown, and is a failure", async () => {
  const warnedPath = join(folder, "warned.sock");
  const health = async (): Promise<StatusResponse> => ({ cilium: { state: "Warning", msg: "waiting for\x1b[2J policies" } });
  await using socket = await openAgentSocket({ socketPath: warnedPath });
  const end = new AbortController();
  const served = serveAgentApi({ socket, routes: agentRoutes({ ...sampleOperations, health }), signal: end.signal });
  const env = { CILIUM_SOCK: `unix://${warnedPath}` };
  const problem = "cilium-dbg: the agent is not ready: waiting for\\x1b[2J policies\n";
  const [brief, full] = [await dbg("status --brief", env), await dbg("status", env)];
  assert.deepEqual(brief, { code: 1, out: "", error: problem });
  assert.deepEqual([full.code, full.error], [1, problem]);
  assert.match(full.out, /^Cilium: {18}Warning {4}waiting for\\x1b\[2J policies$/m);
  end.abort();
  await served;
});

test("version names both sides", async () => {
  assert.match((await dbg("version")).out, /^Client: 0\.1\.0 on Node v.*\nDaemon: cilium-ts 0\.1\.0\n$/);
  assert.doesNotMatch((await dbg("version --client", {})).out, /Daemon/);
});

for (const [line, problem] of [
  ["bogus", /^cilium-dbg: there is no command "bogus"; --help lists them$/],
  ["endpoint bogus", /unknown command 'bogus'/],
  ["endpoint get 99", /^cilium-dbg: there is no endpoint 99$/],
  ["endpoint get bad:1", /^cilium-dbg: "bad:1" names no endpoint: bad: is not known; write a number/],
  ["endpoint list -o xml", /^cilium-dbg: output format "xml" is none of json, yaml, jsonpath=TEMPLATE$/],
  ["identity get x", /^cilium-dbg: identity "x" is no number$/],
  ["map get nope", /^cilium-dbg: there is no BPF map "nope"$/],
  ["policy explain a b 80-90", /^cilium-dbg: port "80-90" is neither PORT nor PORT\/PROTOCOL/],
  ["policy explain a b 80/GRE", /^cilium-dbg: protocol is one of TCP, UDP, SCTP, ICMP, ICMPv6, not "GRE"$/],
  ["policy explain a", /missing required argument 'to'/],
  ["status --host tcp:1", /^cilium-dbg: --host "tcp:1" is no socket of an agent: write unix:\/\/\/path/],
  [
    "status --host unix:///nowhere.sock",
    /^cilium-dbg: the cilium-agent cannot be reached on \/nowhere\.sock: .*is it running, and are you root\?$/,
  ],
  ["status --timeout soon", /^cilium-dbg: --timeout "soon" is no duration such as 30s/],
  ["bpf policy get", /^cilium-dbg: say which endpoint/],
  ["bpf ct list 7", /^cilium-dbg: connections of "7" cannot be listed: there is one table for all endpoints/],
  ["bpf ct list", /^cilium-dbg: map \/sys\/fs\/bpf\/cilium\/maps\/ct4: there is no such pin/],
  ["monitor -t nonsense", /^cilium-dbg: --type "nonsense" is none of agent, capture, /],
  ["monitor --from x", /^cilium-dbg: --from "x" is no endpoint's number$/],
  [
    "monitor --json --hubble-server unix:///nowhere.sock",
    /^cilium-dbg: events cannot be read from unix:\/\/\/nowhere\.sock: .*is the agent running/,
  ],
  ["endpoint list -o jsonpath={.a", /^cilium-dbg: jsonpath=\{\.a: a \{ has no \} in "\{\.a"$/],
  ["policy wait 7 --max-wait-time 0", /^cilium-dbg: endpoint 22 and 1 others have no policy of revision 7 after 0 s$/],
  ["policy wait soon", /^cilium-dbg: revision "soon" is no number$/],
  ["completion tcsh", /^cilium-dbg: shell "tcsh" is none of bash, zsh, fish, powershell$/],
] as const) {
  test(`${line}: one sentence and a failure`, async () => {
    const { code, out, error } = await dbg(line);
    assert.deepEqual([code, out], [1, ""]);
    assert.match(error.trim(), problem);
    assert.equal(error.trim().split("\n").length, 1, error);
  });
}

test("a single value is had by its path, as kubectl's", async () => {
  assert.equal((await dbg("status -o jsonpath={.cilium.state}")).out, "Ok");
  assert.equal((await dbg("endpoint list -o jsonpath={[*].id}")).out, "11 22");
});

test("an agent that does not answer is not waited for for ever", async () => {
  const silentPath = join(folder, "silent.sock");
  const silent = createServer(() => {}).listen(silentPath);
  try {
    const { code, out, error } = await dbg("--timeout 50ms status", { CILIUM_SOCK: silentPath });
    assert.deepEqual([code, out, error], [1, "", "cilium-dbg: the agent has not answered within 50ms; --timeout gives it longer\n"]);
  } finally {
    silent.close();
  }
});

test("bash completes commands where they stand", async () => {
  const { out: script } = await dbg("completion bash");
  const complete = (...words: string[]): string[] => {
    const quoted = words.map((word) => `'${word}'`).join(" ");
    const program = `${script}\nCOMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}; _cilium_dbg; echo "\${COMPREPLY[@]}"`;
    return execFileSync("bash", ["-c", program], { encoding: "utf8" }).trim().split(" ");
  };
  assert.deepEqual(complete("cilium-dbg", "en"), ["endpoint"]);
  assert.deepEqual(complete("cilium-dbg", "bpf", "ct", "l"), ["list"]);
  assert.deepEqual(complete("cilium-dbg", "-H", "x", "status", "--all-"), ["--all-addresses", "--all-controllers", "--all-nodes"]);
});

test("zsh and fish have their scripts", async () => {
  assert.match((await dbg("completion zsh")).out, /^#compdef cilium-dbg\n/);
  const { out } = await dbg("completion fish");
  assert.match(out, /^complete -c cilium-dbg -n 'test \(__cilium_dbg_path\) = "cilium-dbg endpoint"' -a list -d 'List all endpoints'$/m);
  assert.match(out, /-l host -s H -d 'Socket of the agent\\'s API'$/m);
});
