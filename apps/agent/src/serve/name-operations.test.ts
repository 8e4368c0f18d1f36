import assert from "node:assert/strict";
import { test } from "node:test";
import { EndpointLookups } from "@cilium-ts/policy";
import { nameOperations } from "./name-operations.ts";

const signal = new AbortController().signal;
const everything = { endpoint: undefined, pattern: undefined, cidr: undefined, source: undefined };

function createOperations() {
  const lookups = new EndpointLookups();
  const at = { lookedUpS: 100, ttlS: 60, expiresS: 160 };
  lookups.add([
    { endpointId: 7, name: "www.test", address: "192.0.2.1", ...at },
    { endpointId: 7, name: "www.test", address: "192.0.2.2", ...at },
    { endpointId: 8, name: "api.test", address: "2001:db8::1", ...at, expiresS: 110 },
  ]);
  const operations = nameOperations({
    dns: { lookups, forget: (matches) => void lookups.forgetNames(matches) },
    patterns: () => ["www.test", "*.example", "*"],
    endpointIdOf: (id) => (id.kind === "id" && id.id === 7 ? 7 : undefined),
    nowMs: () => 120_000,
  });
  const ask = async (request: Partial<typeof everything> | object): Promise<string> => {
    const answer = await operations.nameCache({ ...everything, ...request }, signal);
    if (answer.status !== 200) return `${answer.status} ${"error" in answer ? answer.error : ""}`;
    return "body" in answer ? answer.body.map(({ fqdn, ips, ttl, source }) => `${fqdn} ${ips?.join()} ${ttl} ${source}`).join("; ") : "";
  };
  return { operations, ask };
}

test("what was looked up is shown by answer, and what only a connection keeps as such", async () => {
  const { ask } = createOperations();
  assert.equal(await ask({}), "www.test. 192.0.2.1,192.0.2.2 60 lookup; api.test. 2001:db8::1 0 connection");
});

const filters: ReadonlyArray<readonly [request: object, shown: RegExp]> = [
  [{ pattern: "w*.TEST." }, /^www[^;]*$/],
  [{ cidr: "192.0.2.2/32" }, /^www.test. 192.0.2.2 60 lookup$/],
  [{ source: "connection" }, /^api[^;]*$/],
  [{ endpoint: { kind: "id", id: 7 } }, /^www[^;]*$/],
  [{ endpoint: { kind: "id", id: 9 } }, /^404 there is no such endpoint$/],
  [{ pattern: "a b" }, /^400 matchpattern: "a b" is no pattern of DNS/],
  [{ cidr: "x" }, /^400 cidr is a prefix/],
  [{ source: "x" }, /^400 source is lookup or connection/],
];
for (const [request, shown] of filters) {
  test(`asked with ${JSON.stringify(request)}`, async () => assert.match(await createOperations().ask(request), shown));
}

test("names that are to be forgotten are", async () => {
  const { operations, ask } = createOperations();
  assert.equal((await operations.forgetNames({ pattern: "a b" }, signal)).status, 400);
  assert.equal((await operations.forgetNames({ pattern: "www.*" }, signal)).status, 200);
  assert.match(await ask({}), /^api[^;]*$/);
  assert.equal((await operations.forgetNames({ pattern: undefined }, signal)).status, 200);
  assert.equal(await ask({}), "");
});

test("what rules mean by name is shown with the expression that means the same", async () => {
  const { operations } = createOperations();
  const { FQDNPolicySelectors: selectors = [] } = await operations.names(signal);
  assert.deepEqual(
    selectors.map(({ selectorString }) => selectorString),
    ["MatchName: , MatchPattern: *", "MatchName: , MatchPattern: *.example", "MatchName: www.test., MatchPattern: "],
  );
  const means = (index: number, name: string): boolean => new RegExp(selectors[index]?.regexString ?? "").test(name);
  assert.deepEqual([means(0, "a.b."), means(1, "a.example."), means(1, "a.b.example."), means(2, "www.test.")], [true, true, false, true]);
});
