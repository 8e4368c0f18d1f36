import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type EtcdCluster, startEtcd } from "@cilium-ts/kubernetes-server/testing";
import { eventually } from "@cilium-ts/testing";
import { Kubectl } from "./kubectl.ts";
import { type RunningServer, runProgram, startProgram } from "./program.ts";

// Two API servers on one etcd, and a real kubectl that talks to both.

const folder = mkdtempSync(join(tmpdir(), "cilium-ts-apiserver-etcd-"));
const servers: RunningServer[] = [];
let etcd: EtcdCluster;
const clients: Kubectl[] = [];

before(async () => {
  etcd = await startEtcd();
  servers.push(await start("one"));
  // Servers of one cluster have one authority.
  mkdirSync(join(folder, "two"), { mode: 0o700 });
  for (const name of ["ca.crt", "ca.key"]) cpSync(join(folder, "one", name), join(folder, "two", name));
  servers.push(await start("two"));
  for (const [index, { kubeconfig }] of servers.entries()) clients.push(await Kubectl.open(kubeconfig, join(folder, `cache${index}`)));
});
after(async () => {
  for (const server of servers) await server.stop("SIGTERM");
  await etcd[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

function start(name: string): Promise<RunningServer> {
  return startProgram(join(folder, name), ["--etcd-servers", etcd.endpoints.join(",")]);
}

function client(index: number): Kubectl {
  const found = clients[index];
  assert.ok(found !== undefined);
  return found;
}
const run = (index: number, flags: string) => client(index).run(flags);
const succeed = (index: number, flags: string) => client(index).succeed(flags);

test("what one server stores the other serves at once, kinds included", async () => {
  await succeed(0, "create ns demo");
  await succeed(1, "-n demo create configmap a --from-literal=x=1");
  await succeed(0, "-n demo create configmap b --from-literal=x=1");
  assert.equal(await succeed(1, "-n demo get cm -o name"), "configmap/a\nconfigmap/b\n");
  assert.equal(await succeed(0, "-n demo label cm a b by=one"), "configmap/a labeled\nconfigmap/b labeled\n");
  assert.equal(await succeed(1, "-n demo label cm a b also=two"), "configmap/a labeled\nconfigmap/b labeled\n");
  assert.equal(await succeed(0, "-n demo get cm -l by=one,also=two -o name"), "configmap/a\nconfigmap/b\n");
  assert.match((await run(1, "-n demo create configmap a")).errors, /already exists/);
});

test("etcd is killed and comes back: nothing is lost, and writes go on", async () => {
  const [member] = etcd.members;
  await member?.stop("SIGKILL");
  assert.equal((await run(0, "-n demo create configmap meanwhile")).code, 1);
  member?.start();
  await eventually(async () => assert.equal((await run(0, "-n demo create configmap afterwards")).code, 0));
  assert.match(await succeed(1, "-n demo get cm -o name"), /configmap\/a\nconfigmap\/afterwards\nconfigmap\/b\n/);
});

test("a namespace is emptied whichever server is asked, and both agree that it is gone", async () => {
  assert.match(await succeed(1, "delete ns demo"), /namespace "demo" deleted/);
  assert.match((await run(0, "get ns demo")).errors, /namespaces "demo" not found/);
});

test("a server without its etcd says so and ends", async () => {
  const { code, errors } = await runProgram(["--state-dir", join(folder, "three"), "--etcd-servers", "http://127.0.0.1:1"]);
  assert.equal(code, 1);
  assert.match(errors, /^cilium-apiserver: cannot read from etcd at http:\/\/127\.0\.0\.1:1: .*\n$/);
});
