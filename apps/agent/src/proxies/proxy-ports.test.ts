import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { ProxyPorts } from "./proxy-ports.ts";

const root = mkdtempSync(join(tmpdir(), "cilium-ts-proxy-ports-"));
after(() => rmSync(root, { recursive: true, force: true }));
const take = (ports: ProxyPorts, purpose: string, busy: readonly number[] = []): number =>
  ports.take(purpose, (port) => (busy.includes(port) ? undefined : port));

test("a proxy has the same port in every run, whichever opens first", () => {
  const directory = join(root, "kept");
  const first = new ProxyPorts(directory);
  assert.deepEqual([take(first, "dns/egress"), take(first, "http/egress")], [10_000, 10_001]);
  const second = new ProxyPorts(directory);
  assert.deepEqual([take(second, "http/egress"), take(second, "dns/egress")], [10_001, 10_000]);
});

test("a port that somebody else has, or another proxy had, is passed over, and the new one is kept", () => {
  const directory = join(root, "busy");
  take(new ProxyPorts(directory), "dns/egress");
  take(new ProxyPorts(directory), "http/egress");
  assert.equal(take(new ProxyPorts(directory), "http/egress", [10_001]), 10_002);
  assert.equal(take(new ProxyPorts(directory), "http/egress"), 10_002);
});

test("a file that is not whole, or names other ports, is not believed", () => {
  const directory = join(root, "damaged");
  take(new ProxyPorts(directory, { first: 10_005, last: 10_009 }), "dns/egress");
  for (const text of ['{"dns/egress":99999}', '{"dns/egress":"10005"}', "[]", "{"]) {
    for (const name of readdirSync(directory)) writeFileSync(join(directory, name), text);
    assert.equal(take(new ProxyPorts(directory), "dns/egress"), 10_000, text);
  }
});

test("when no port is free, that is said with the way out; what else goes wrong is told as it is", () => {
  const ports = new ProxyPorts(join(root, "full"), { first: 10_000, last: 10_001 });
  assert.throws(
    () => take(ports, "dns/egress", [10_000, 10_001]),
    /no port from 10000 to 10001 is free for the proxy dns\/egress: end what listens/,
  );
  assert.throws(
    () =>
      ports.take("dns/egress", () => {
        throw new Error("EPERM");
      }),
    /EPERM/,
  );
});
