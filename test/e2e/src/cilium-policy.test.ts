import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Finished, runToEnd } from "@cilium-ts/lab";
import { eventually, requireKernel } from "@cilium-ts/testing";
import { repositoryRoot } from "@cilium-ts/tools/repository";
import { Cluster } from "./cluster.ts";
import { verdicts } from "./verdicts.ts";
import type { Workload } from "./workload-client.ts";

const client = { matchLabels: { app: "client" } };

describe("cilium policy, on a lab with traffic", { skip: requireKernel() }, () => {
  let cluster: Cluster;
  let places: Record<"client" | "other" | "server", Workload>;
  const check = (text: string): Promise<void> => verdicts(places, text);

  before(async () => {
    cluster = await Cluster.start();
    places = { client: await cluster.pod("client"), other: await cluster.pod("other"), server: await cluster.pod("server") };
    await places.server.listen("tcp", 8081, 8082);
    await places.server.listen("udp", 5353);
    await check(`
      client  tcp/8081  server  answered
      client  udp/5353  server  answered
      client  icmp      server  answered
      other   tcp/8082  server  answered
    `);
  });
  after(() => cluster?.[Symbol.asyncDispose]());

  function cilium(...args: readonly string[]): Promise<Finished> {
    const program = join(repositoryRoot, "apps/cilium/build/bin/main.js");
    return runToEnd(process.execPath, [program, "--kubeconfig", cluster.lab.kubeconfigPath, "policy", ...args]);
  }

  /** Flows of the last minutes, from the node's Hubble. */
  const fromHubble = (): string[] => ["--since", "10m", "--server", `unix://${cluster.lab.node().hubbleSocketPath}`];

  function write(name: string, text: string): string {
    const path = join(cluster.lab.directory, name);
    writeFileSync(path, text);
    return path;
  }

  test("what-if tells what a policy would stop before it does, and explain says so when it does", async () => {
    const object = {
      apiVersion: "cilium.io/v2",
      kind: "CiliumNetworkPolicy",
      metadata: { namespace: "default", name: "only-client" },
      spec: { endpointSelector: { matchLabels: { app: "server" } }, ingress: [{ fromEndpoints: [client] }] },
    };
    const path = write("only-client.json", JSON.stringify(object));
    const { status, stdout } = await cilium("what-if", "-f", path, ...fromHubble(), "-o", "json", "--exit-code");
    assert.equal(status, 2);
    const { changed, recordedOtherwise } = JSON.parse(stdout);
    const told = changed.map(
      ({ from, to, port, before: now, after: then }: Record<string, string>) => `${from} ${to} ${port} ${now} ${then}`,
    );
    assert.deepEqual([told, recordedOtherwise], [["default/other default/server 8082 allowed dropped"], 0]);

    await cluster.apply({ name: "only-client", spec: object.spec });
    await check(`
      other   tcp/8082  server  dropped
      client  tcp/8081  server  answered
    `);
    const explained = await cilium("explain", "--from", "default/other", "--to", "default/server", "--port", "8082");
    assert.match(explained.stdout, /^Verdict: dropped[\s\S]*no ingress rule of the one policy that selects it allows it/);
    const gone = await cilium("what-if", "--delete", "default/only-client", ...fromHubble());
    assert.match(gone.stdout, /default\/other +default\/server +8082\/TCP +dropped +allowed/);
    await cluster.clear();
  });

  test("suggest writes policies that lint has nothing to say of and that let what was seen go on, and nothing else", async () => {
    const suggested = await cilium("suggest", "-n", "default", ...fromHubble());
    assert.equal(suggested.status, 0, suggested.stderr);
    const path = write("suggested.yaml", suggested.stdout);
    assert.deepEqual(await cilium("lint", "--cluster", path).then(({ status, stdout }) => [status, stdout]), [0, ""]);
    const names = [...suggested.stdout.matchAll(/^ {2}name: (.*)$/gm)].map(([, name]) => name);
    assert.deepEqual(names, ["client", "other", "server"]);
    await cluster.changing(names.length, async () => void (await cluster.lab.kubectl.run(["apply", "-f", path])));
    await eventually(() =>
      check(`
        client  tcp/8081  server  answered
        client  udp/5353  server  answered
        client  icmp      server  answered
        other   tcp/8082  server  answered
        client  tcp/8082  server  dropped
        other   tcp/8081  server  dropped
        other   icmp      server  dropped
        server  icmp      client  dropped
      `),
    );
  });
});
