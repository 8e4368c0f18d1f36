import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { parseTokens } from "./authenticate.ts";
import { ensureCertificates } from "./certificates.ts";

const folder = mkdtempSync(join(tmpdir(), "cilium-ts-certificates-"));
after(() => rmSync(folder, { recursive: true }));
const startMs = Date.parse("2026-05-01T00:00:00Z");
const dayMs = 86_400_000;
const names = ["localhost", "127.0.0.1", "::1", "fd00::10:0:1"];

test("certificates name the server, are signed by the authority, and stay as they are", () => {
  const first = ensureCertificates(folder, names, startMs);
  const server = new X509Certificate(first.server.certificate);
  const authority = new X509Certificate(first.authority);
  assert.ok(server.verify(authority.publicKey) && server.checkIssued(authority) && authority.ca && !server.ca);
  assert.equal(server.checkHost("localhost"), "localhost");
  for (const address of names.slice(1)) assert.equal(server.checkIP(address), address);
  assert.equal(statSync(join(folder, "server.key")).mode & 0o777, 0o600);
  assert.deepEqual(ensureCertificates(folder, names, startMs + dayMs), first);
});

test("a new name, an approaching end and a damaged file each bring a new certificate of the same authority", () => {
  const before = ensureCertificates(folder, names, startMs);
  const named = ensureCertificates(folder, [...names, "10.0.0.1"], startMs);
  assert.notEqual(named.server.certificate, before.server.certificate);
  const renewed = ensureCertificates(folder, names, startMs + 330 * dayMs);
  assert.notEqual(renewed.admin.certificate, before.admin.certificate);
  assert.equal(renewed.authority, before.authority);
  assert.ok(renewed.expiresMs > startMs + 600 * dayMs);
  writeFileSync(join(folder, "server.crt"), "rubbish");
  ensureCertificates(folder, names, startMs);
  assert.match(readFileSync(join(folder, "server.crt"), "utf8"), /BEGIN CERTIFICATE/);
});

test("tokens are read, and a bad line is named", () => {
  const parsed = parseTokens('# tokens\nsecret,lab,1,"system:masters,other"\nplain,agent\n');
  assert.equal(parsed.outcome, "parsed");
  assert.deepEqual(
    [...parsed.tokens.values()],
    [
      { name: "lab", groups: ["system:masters", "other", "system:authenticated"] },
      { name: "agent", groups: ["system:authenticated"] },
    ],
  );
  assert.deepEqual(parseTokens("a,b\nrubbish"), { outcome: "problem", problem: 'line 2 is not token,user,uid,"groups"' });
});
