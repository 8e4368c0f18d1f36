import assert from "node:assert/strict";
import { test } from "node:test";
import { LifelineSources, type LifelineSourcesOptions } from "./lifeline-sources.ts";

const identities = new Map([
  ["10.0.0.1", 7],
  ["10.0.0.3", 6],
  ["192.0.2.9", 9],
]);

function sources(given: Partial<LifelineSourcesOptions> = {}): LifelineSources {
  return new LifelineSources({
    sshPorts: [22],
    server: "https://10.0.0.1:6443",
    apiServers: () => [{ address: "10.0.0.1", port: 6443 }],
    ownAddresses: () => ["10.0.0.2"],
    nodeAddresses: () => ["10.0.0.1", "10.0.0.3", "10.0.0.3", "10.0.0.4"],
    identityOf: (address) => identities.get(address) ?? 0,
    readPorts: async () => [{ port: 22, remotes: ["192.0.2.9"] }],
    ...given,
  });
}

function servers(given: Partial<LifelineSourcesOptions>): string[] {
  return sources(given)
    .facts()
    .apiServers.map(({ address, port, isHere, identity }) => `${address} ${port} ${isHere ? "here" : identity}`);
}

test("API servers are those of the slices and the one of the agent's own URL, each once", () => {
  assert.deepEqual(servers({}), ["10.0.0.1 6443 7"]);
  assert.deepEqual(servers({ server: "https://[fd00:0::1]" }), ["10.0.0.1 6443 7", "fd00::1 443 0"]);
  assert.deepEqual(servers({ server: "https://10.0.0.2:6443" }), ["10.0.0.1 6443 7", "10.0.0.2 6443 here"]);
  assert.deepEqual(servers({ server: "https://127.0.0.1:6443" }), ["10.0.0.1 6443 7"]);
  assert.deepEqual(servers({ server: "https://cluster.example:6443" }), ["10.0.0.1 6443 7"]);
  assert.deepEqual(servers({ server: undefined, apiServers: () => [] }), []);
});

test("nodes that have an identity are told once, and sockets are those of the last look", async () => {
  const some = sources();
  assert.deepEqual([some.facts().nodes, some.facts().sshPorts], [[7, 6], []]);
  await some.refresh();
  assert.deepEqual(some.facts().sshPorts, [{ port: 22, sessions: [{ address: "192.0.2.9", identity: 9 }] }]);
  const none = sources({ sshPorts: [] });
  await none.refresh();
  assert.deepEqual(none.facts().sshPorts, []);
});
