import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { after, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { openOwnTls } from "@cilium-ts/certificates";
import { frameMessage, historypb, observerpb, peerpb, startGrpcServer } from "@cilium-ts/observer";
import { systemClock } from "@cilium-ts/std";
import type { ConnectRouter } from "@connectrpc/connect";
import { run } from "./run.ts";

const folder = mkdtempSync(join(tmpdir(), "hubble-commands-"));
after(() => rmSync(folder, { recursive: true }));

async function hubble(
  args: readonly string[],
  env: Record<string, string> = {},
  stdin: readonly string[] = [],
  { signal = new AbortController().signal, onOut = () => {} }: { signal?: AbortSignal; onOut?: () => void } = {},
) {
  const parts = { out: "", error: "" };
  const collect = (name: keyof typeof parts): Writable =>
    new Writable({
      decodeStrings: false,
      write(part, _encoding, done) {
        parts[name] += String(part);
        if (name === "out") onOut();
        done();
      },
    });
  const world = {
    stdin: Readable.from([...stdin]),
    stdout: collect("out"),
    stderr: collect("error"),
    isTerminal: false,
    env: { XDG_CONFIG_HOME: folder, ...env },
    nowMs: () => Date.parse("2026-01-01T00:01:00Z"),
  };
  const code = await run(args, world, signal);
  return { code, ...parts };
}

function registerObserver(router: ConnectRouter): void {
  router.service(observerpb.Observer, {
    getNodes: () => ({
      nodes: [
        {
          name: "n1",
          state: 1,
          uptimeNs: 90_000_000_000n,
          seenFlows: 180n,
          numFlows: 50n,
          maxFlows: 100n,
          version: "1.0",
          address: "a:1",
          tls: { enabled: true },
        },
        { name: "n2", state: 2, address: "b:1" },
      ],
    }),
    getNamespaces: (_request, { requestHeader }) => {
      const [, login = ""] = requestHeader.get("authorization")?.split(" ") ?? [];
      const namespaces = login === "" ? ["a"] : ["a", `logged in as ${Buffer.from(login, "base64")}`];
      return { namespaces: namespaces.map((namespace) => ({ cluster: "default", namespace })) };
    },
    async *getAgentEvents({ number, first }) {
      const agentEvent = {
        type: 3,
        notification: { case: "policyUpdate", value: { revision: number, ruleCount: first ? 1n : 0n } },
      } as const;
      yield { nodeName: "default/n1", time: timestampFromMs(Date.parse("2026-01-01T00:00:00Z")), agentEvent };
    },
    async *getDebugEvents() {
      yield {
        nodeName: "default/n1",
        time: timestampFromMs(Date.parse("2026-01-01T00:00:00Z")),
        debugEvent: { type: 1, message: "hello", cpu: 3 },
      };
    },
  });
}

/** Sums that grow with every answer. */
function registerSums(router: ConnectRouter): void {
  let asked = 0;
  router.service(historypb.History, {
    getTraffic: ({ since, namespaces, order }) => {
      asked += 1;
      const sides = {
        client: { namespace: "a", name: "client", kind: "Pod" },
        server: { namespace: "a", name: "web", kind: "Deployment" },
      };
      const row = { ...sides, protocol: "TCP", port: 80, verdict: 1, flows: BigInt(5 + asked), bytes: BigInt(3_000 * asked) };
      const time = timestampFromMs(Date.parse("2026-01-01T00:00:00Z"));
      const dropped = { ...row, verdict: 2, flows: 1n, bytes: 60n };
      return { traffic: [row, dropped], since: since ?? time, until: time, otherFlows: BigInt(namespaces.length * 10 + order) };
    },
  });
}

/** A server with TLS that answers everything, and the flags that reach it. */
async function startServer() {
  const own = { folder: join(folder, "tls"), authority: "test-ca", clock: systemClock };
  const tls = await openOwnTls({ ...own, name: "server", use: "server", names: ["hubble.test"] });
  const client = await openOwnTls({ ...own, name: "client", use: "client", names: [] });
  const server = await startGrpcServer({
    listen: [{ kind: "tcp", address: "127.0.0.1:0", tls }],
    responseHeaders: {},
    streams: {
      "/observer.Observer/GetFlows": async (_request, call) => {
        const flow = { time: timestampFromMs(0), nodeName: "default/n1" };
        const response = create(observerpb.GetFlowsResponseSchema, { responseTypes: { case: "flow", value: flow } });
        await call.write(frameMessage(toBinary(observerpb.GetFlowsResponseSchema, response)));
      },
    },
    routes(router) {
      registerObserver(router);
      registerSums(router);
      router.service(peerpb.Peer, {
        async *notify() {
          yield { name: "n1", address: "10.0.0.1:4244", type: 1, tls: { serverName: "n1.default.hubble-grpc.cilium.io" } };
        },
      });
    },
  });
  const path = (name: string): string => join(folder, "tls", name);
  const flags = ["--server", `tls://${server.addresses[0]}`, "--tls-server-name", "hubble.test", "--tls-ca-cert-files", path("ca.crt")];
  const proof = ["--tls-client-cert-file", path("client.crt"), "--tls-client-key-file", path("client.key")];
  return {
    server,
    flags: [...flags, ...proof],
    withoutProof: flags,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await tls[Symbol.asyncDispose]();
      await client[Symbol.asyncDispose]();
    },
  };
}

test("list, watch and events, by TLS with certificates on both sides", async () => {
  await using setup = await startServer();
  const shown = async (...args: string[]): Promise<string> => {
    const ran = await hubble([...args, ...setup.flags]);
    assert.deepEqual([ran.code, ran.error], [0, ""]);
    return ran.out;
  };
  assert.equal(
    await shown("list", "nodes"),
    "NAME   STATUS        AGE     FLOWS/S   CURRENT/MAX-FLOWS\nn1     Connected     1m30s   2.00      50/100 ( 50.00%)\nn2     Unavailable   N/A     N/A       N/A\n",
  );
  assert.match(await shown("list", "nodes", "-o", "wide"), /VERSION +ADDRESS +TLS\nn1 .* 1\.0 +a:1 +Enabled\n/);
  assert.equal(JSON.parse(await shown("list", "nodes", "-o", "json")).nodes[0].max_flows, "100");
  assert.equal(await shown("list", "namespaces"), "NAMESPACE\na\n");
  assert.equal(await shown("watch", "peers"), "PEER_ADDED   10.0.0.1:4244 n1 (TLS.ServerName: n1.default.hubble-grpc.cilium.io)\n");
  assert.equal(
    await shown("observe", "agent-events", "--last", "7", "--print-node-name"),
    'Jan  1 00:00:00.000 [default/n1]: POLICY_UPDATED {"revision":"7"}\n',
  );
  assert.equal(JSON.parse(await shown("observe", "agent-events", "--first", "2", "-o", "json")).agent_event.policy_update.rule_count, "1");
  assert.equal(await shown("observe", "debug-events"), "Jan  1 00:00:00.000: DBG_GENERIC  hello (CPU 3)\n");
  assert.equal(JSON.parse(await shown("observe", "-o", "json")).flow.node_name, "default/n1");
  assert.match(await shown("why", "--pod", "x"), /seen: on node default\/n1/);
  assert.match(await shown("top"), /^FLOWS\/S +DROPS\/S +FROM +TO\n0\.5 /);
  const refused = await hubble(["list", "nodes", ...setup.withoutProof]);
  assert.equal(refused.code, 1);
  const insecure = await hubble(["list", "nodes", ...setup.flags.slice(0, 2), ...setup.flags.slice(6), "--tls-allow-insecure"]);
  assert.deepEqual([insecure.code, insecure.error], [0, ""]);
  const unbelieved = await hubble(["list", "nodes", ...setup.flags.slice(0, 2), ...setup.flags.slice(6)]);
  assert.equal(unbelieved.code, 1);
});

test("top over a time that is over shows sums, and as it happens by bytes what they grow by", async () => {
  await using setup = await startServer();
  const past = await hubble(["top", "--since", "60s", "--sort", "drops", "-n", "a", ...setup.flags]);
  assert.equal(past.error, "");
  assert.equal(
    past.out,
    "2026-01-01T00:00:00Z to 2026-01-01T00:00:00Z\nFLOWS   DROPS   BYTES    FROM       TO\n7       1       3.1 kB   a/client   a/web:80 TCP\nand 11 flows of others\n",
  );
  const narrow = await hubble(["top", "--since", "60s", "--port", "80", ...setup.flags]);
  assert.deepEqual([narrow.code, /by --namespace only/.test(narrow.error)], [1, true]);
  const stop = new AbortController();
  const live = await hubble(["top", "--sort", "bytes", "--interval", "100ms", ...setup.flags], {}, [], {
    signal: stop.signal,
    onOut: () => stop.abort(),
  });
  assert.match(live.out, /^BYTES\/S +FLOWS\/S +DROPS\/S +FROM +TO\n30\.0 kB +10\.0 +0\.0 +a\/client +a\/web:80 TCP\n/);
});

test("config is kept in a file that others' settings survive, and flags and environment win over it", async () => {
  const path = join(folder, "hubble/config.yaml");
  assert.equal((await hubble(["config", "set", "server", "tls://far:1"])).code, 0);
  writeFileSync(path, `${readFileSync(path, "utf8")}of-another-version: someone\n`);
  assert.equal((await hubble(["config", "set", "timeout", "9s"])).code, 0);
  assert.equal((await hubble(["config", "get", "server"])).out, "tls://far:1\n");
  assert.equal((await hubble(["config", "view"])).out, "server: tls://far:1\ntimeout: 9s\n");
  assert.match(readFileSync(path, "utf8"), /of-another-version: someone/);
  assert.match((await hubble(["status", "--help"])).out, /default: "tls:\/\/far:1"/);
  assert.match((await hubble(["status", "--help"], { HUBBLE_SERVER: "near:1" })).out, /default: "near:1"/);
  await hubble(["config", "reset"]);
  assert.equal((await hubble(["config", "view"])).out, "");
  writeFileSync(path, "a: [");
  const broken = await hubble(["status"]);
  assert.equal(broken.code, 1);
  assert.match(broken.error, /config\.yaml is no YAML/);
  rmSync(path);
});

test("flows of a file or of standard input are shown as a server's", async () => {
  const line = (second: number, wrapped: boolean): string => {
    const flow = { time: `2026-01-01T00:00:0${second}Z`, verdict: "FORWARDED", node_name: "n", unknown_field: 1 };
    return `${JSON.stringify(wrapped ? { flow, time: flow.time, node_name: "n" } : flow)}\n`;
  };
  const lines = [line(1, true), "\n", line(2, false), line(3, true)];
  const seconds = async (...args: string[]): Promise<number[]> => {
    const ran = await hubble(["observe", "--input-file", "-", "-o", "json", ...args], {}, lines);
    assert.deepEqual([ran.code, ran.error], [0, ""]);
    return ran.out
      .trimEnd()
      .split("\n")
      .filter(Boolean)
      .map((text) => new Date(JSON.parse(text).flow.time).getUTCSeconds());
  };
  assert.deepEqual(await seconds(), [1, 2, 3]);
  assert.deepEqual(await seconds("--last", "2"), [2, 3]);
  assert.deepEqual(await seconds("--first", "1"), [1]);
  assert.deepEqual(await seconds("--since", "2026-01-01T00:00:02Z"), [2, 3]);
  assert.deepEqual(await seconds("--until", "2026-01-01T00:00:02Z", "--all"), [1, 2]);
  const path = join(folder, "flows.json");
  writeFileSync(path, `${line(1, true)}rubbish\n`);
  const broken = await hubble(["observe", "--input-file", path, "-o", "json", "--all"]);
  assert.equal(broken.code, 1);
  assert.match(broken.error, /flows\.json, line 2 is no flow in JSON/);
});

test("settings of another file hold, and a password goes only where nobody else can read it", async () => {
  await using setup = await startServer();
  const path = join(folder, "other.yaml");
  writeFileSync(path, "basic-auth-username: me\nbasic-auth-password: secret\n");
  for (const flag of [["--config", path], [`--config=${path}`]])
    assert.match((await hubble([...flag, "config", "view"])).out, /^basic-auth-username: me\n/);
  assert.doesNotMatch((await hubble(["--config", path, "status", "--help"])).out, /secret/);
  const ran = await hubble(["list", "namespaces", "--config", path, ...setup.flags]);
  assert.deepEqual([ran.code, ran.out], [0, "NAMESPACE\na\nlogged in as me:secret\n"]);
  const plain = await hubble(["list", "namespaces", "--config", path, "--server", "127.0.0.1:1"]);
  assert.deepEqual([plain.code, /would go to 127\.0\.0\.1:1 in plain text/.test(plain.error)], [1, true]);
  const half = await hubble(["list", "namespaces", "--basic-auth-username", "me"]);
  assert.match(half.error, /given both, or none/);
});

test("completion knows commands and flags, in a script that the shell takes", async () => {
  const script = (await hubble(["completion", "bash"])).out;
  const complete = (...words: string[]): string[] =>
    execFileSync("bash", [
      "-c",
      `${script}\nCOMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); _hubble; printf '%s\\n' "\${COMPREPLY[@]}"`,
      "-",
      "hubble",
      ...words,
    ])
      .toString()
      .trimEnd()
      .split("\n");
  assert.deepEqual(complete("li"), ["list"]);
  assert.deepEqual(complete("list", "n"), ["nodes", "namespaces"]);
  assert.deepEqual(complete("observe", "--from-p"), ["--from-pod", "--from-port"]);
  assert.match((await hubble(["completion", "zsh"])).out, /bashcompinit/);
  assert.match((await hubble(["completion", "fish"])).out, /complete -c hubble/);
  const { out } = await hubble(["completion", "powershell"]);
  assert.match(out, /^Register-ArgumentCompleter -Native -CommandName 'hubble' -ScriptBlock \{$/m);
  assert.match(out, /^ {4}'hubble list nodes' = @\('--output', .*'--port-forward',.*'--help'\)$/m);
});
