import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { copyFileSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { promisify } from "node:util";
import { type Clock, systemClock } from "@cilium-ts/std";
import { eventually } from "@cilium-ts/testing";
import { openOwnTls } from "./own-tls.ts";
import { openTlsFiles } from "./tls-files.ts";
import type { TlsSource } from "./tls-source.ts";

const folder = mkdtempSync(join(tmpdir(), "cilium-ts-tls-"));
after(() => rmSync(folder, { recursive: true }));
const startMs = Date.parse("2026-05-01T00:00:00Z");
const dayMs = 86_400_000;
const names = ["*.default.hubble-grpc.cilium.io", "127.0.0.1"];
const intervalMs = 5;

function own(name: string, clock: Clock, into = folder): Promise<TlsSource> {
  return openOwnTls({ folder: into, authority: "test-ca", name, use: "server", names, clock, intervalMs });
}

const clockAt = (nowMs: () => number): Clock => ({ nowMs, sleep: systemClock.sleep });

test("certificates of our own are made once, shared by their authority, and valid for a wildcard", async () => {
  const clock = clockAt(() => startMs);
  await using server = await own("server", clock);
  await using again = await own("server", clock);
  await using other = await own("other", clock);
  assert.equal(again.current.pair?.certificate, server.current.pair?.certificate);
  assert.deepEqual(other.current.authorities, server.current.authorities);
  const certificate = new X509Certificate(server.current.pair?.certificate ?? "");
  assert.equal(certificate.checkHost("n1.default.hubble-grpc.cilium.io"), names[0]);
  assert.equal(statSync(join(folder, "server.key")).mode & 0o777, 0o600);
  assert.ok(Math.abs(server.current.expiresMs - (startMs + 365 * dayMs)) < 2_000);
});

test("a certificate near its end is replaced while it is used", async () => {
  let nowMs = startMs;
  await using source = await own(
    "renewed",
    clockAt(() => nowMs),
  );
  const before = source.current;
  const told: number[] = [];
  source.watch(({ expiresMs }) => told.push(expiresMs));
  nowMs += 310 * dayMs;
  await eventually(() => assert.equal(told.length, 1));
  assert.notEqual(source.current.pair?.certificate, before.pair?.certificate);
  assert.deepEqual(source.current.authorities, before.authorities);
  assert.ok(source.current.expiresMs > startMs + 600 * dayMs);
});

test("files are read again; while they do not fit each other, those before stay in force", async () => {
  const clock = clockAt(() => startMs);
  await using _one = await own("one", clock);
  await using _two = await own("two", clock);
  const paths = {
    certificatePath: join(folder, "given.crt"),
    keyPath: join(folder, "given.key"),
    authorityPaths: [join(folder, "ca.crt")],
  };
  copyFileSync(join(folder, "one.crt"), paths.certificatePath);
  copyFileSync(join(folder, "one.key"), paths.keyPath);
  const problems: string[] = [];
  await using source = await openTlsFiles({ paths, clock, intervalMs, onProblem: (message) => problems.push(message) });
  const before = source.current;
  assert.equal(before.authorities.length, 1);
  copyFileSync(join(folder, "two.crt"), paths.certificatePath);
  await eventually(() => assert.match(source.problem ?? "", /the key is not that of the certificate/));
  assert.equal(source.current, before);
  copyFileSync(join(folder, "two.key"), paths.keyPath);
  await eventually(() => assert.notEqual(source.current, before));
  assert.equal(source.problem, undefined);
  assert.equal(problems.filter((text) => text.includes("the key is not that")).length, 1);
});

test("files that are no use are refused at the start, by name", async () => {
  const rubbish = join(folder, "rubbish.crt");
  writeFileSync(rubbish, "rubbish");
  const open = (paths: Parameters<typeof openTlsFiles>[0]["paths"]) => openTlsFiles({ paths, clock: systemClock });
  await assert.rejects(open({ authorityPaths: [rubbish] }), /rubbish\.crt: no certificate in PEM form/);
  await assert.rejects(open({ authorityPaths: [join(folder, "nowhere.crt")] }), /nowhere\.crt cannot be read/);
  await assert.rejects(open({ certificatePath: rubbish, authorityPaths: [] }), /a certificate needs its key/);
  await assert.rejects(own("server", systemClock, join(rubbish, "folder")), /certificates cannot be kept in .*is it writable/);
});

test("processes that start at once agree on one authority", async () => {
  const clock = clockAt(() => startMs);
  const shared = join(folder, "shared");
  const script = `import { openOwnTls } from ${JSON.stringify(join(import.meta.dirname, "own-tls.ts"))};
    const clock = { nowMs: () => ${startMs}, sleep: () => new Promise(() => {}) };
    const source = await openOwnTls({ folder: ${JSON.stringify(shared)}, authority: "test-ca", name: process.argv[1], use: "server", names: [], clock });
    console.log(JSON.stringify(source.current.authorities)); process.exit();`;
  const run = async (name: string) =>
    (await promisify(execFile)(process.execPath, ["--input-type=module-typescript", "-e", script, name])).stdout;
  const [one, other] = await Promise.all([run("one"), run("other")]);
  assert.equal(one, other);
  await using source = await own("third", clock, shared);
  assert.deepEqual(JSON.parse(one ?? ""), source.current.authorities);
});
