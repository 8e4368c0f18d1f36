import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "@cilium-ts/testing";
import { listAt, textAt, valueAt } from "../resources/column.ts";
import { addressAt, parseServiceRanges, pickAddress, type ServiceRange } from "../resources/service-range.ts";
import type { Mutable } from "../schema/schema.ts";
import { createTestClient } from "../testing/test-client.ts";
import { startTestServer } from "../testing/test-server.ts";

const services = "/api/v1/namespaces/default/services";

function ranges(text: string): readonly ServiceRange[] {
  const parsed = parseServiceRanges(text);
  if (parsed.outcome === "problem") throw new Error(parsed.problem);
  return parsed.ranges;
}

async function open(range: string, more: Parameters<typeof startTestServer>[0] = {}) {
  const server = await startTestServer({ definitions: [], serviceRanges: ranges(range), ...more });
  const client = createTestClient(server.url);
  return {
    server,
    client,
    create: (name: string, spec: Mutable = {}) => client.post(services, { metadata: { name }, spec: { ports: [{ port: 80 }], ...spec } }),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
const addressesIn = (service: Mutable) => valueAt(service, "spec", "clusterIPs");

test("services get addresses of their own, until there are no more, and give them back", async () => {
  await using running = await open("10.9.0.0/28");
  const { client, create } = running;
  const made = await Promise.all(Array.from({ length: 13 }, (_, index) => create(`s${index}`)));
  const addresses = made.map(({ body }) => textAt(body, "spec", "clusterIP"));
  assert.equal(new Set(addresses).size, 13, addresses.join(" "));
  for (const address of addresses) assert.match(address, /^10\.9\.0\.([2-9]|1[0-4])$/);
  const full = await create("more");
  assert.match(String(full.body.message), /spec\.clusterIPs: .*the range 10\.9\.0\.0\/28 is full/);
  await client.delete(`${services}/s3`);
  assert.equal(textAt((await create("again")).body, "spec", "clusterIP"), addresses[3]);
});

test("an address may be chosen, stays when it is not named, and never changes", async () => {
  await using running = await open("10.9.0.0/24");
  const { client, create } = running;
  const made = await create("dns", { clusterIP: "10.9.0.10" });
  assert.deepEqual([made.code, addressesIn(made.body)], [201, ["10.9.0.10"]]);
  const replaced = await client.put(`${services}/dns`, { metadata: { name: "dns" }, spec: { ports: [{ port: 53 }] } });
  assert.deepEqual([replaced.code, addressesIn(replaced.body)], [200, ["10.9.0.10"]]);
  const moved = await client.patch(`${services}/dns`, "merge", { spec: { clusterIP: "10.9.0.11", clusterIPs: ["10.9.0.11"] } });
  assert.match(String(moved.body.message), /spec\.clusterIPs\[0\]: Invalid value: "10\.9\.0\.11": may not change once set/);
  const rows: readonly [Mutable, RegExp][] = [
    [{ clusterIP: "10.9.0.10" }, /failed to allocate IP 10\.9\.0\.10: provided IP is already allocated/],
    [{ clusterIP: "10.9.0.1" }, /already allocated/],
    [{ clusterIP: "10.8.0.1" }, /does not match the current range 10\.9\.0\.0\/24/],
    [{ clusterIP: "x" }, /must be a valid IP address/],
    [{ clusterIP: "10.9.0.20", clusterIPs: ["10.9.0.21"] }, /first value must match `clusterIP`/],
    [{ ipFamilyPolicy: "RequireDualStack" }, /not configured for dual-stack/],
    [{ ipFamilies: ["IPv6"] }, /not configured on this cluster: IPv6/],
  ];
  for (const [spec, message] of rows) {
    const { code, body } = await create("refused", spec);
    assert.deepEqual([code, message.test(String(body.message))], [422, true], String(body.message));
  }
});

test("headless services and names of elsewhere have none; becoming an ordinary service brings one", async () => {
  await using running = await open("10.9.0.0/24");
  const { client, create } = running;
  assert.deepEqual(addressesIn((await create("headless", { clusterIP: "None" })).body), ["None"]);
  const elsewhere = await create("elsewhere", { type: "ExternalName", externalName: "example.com" });
  assert.equal(addressesIn(elsewhere.body), undefined);
  const here = await client.patch(`${services}/elsewhere`, "merge", { spec: { type: "ClusterIP", externalName: null } });
  assert.match(textAt(here.body, "spec", "clusterIP"), /^10\.9\.0\./);
  const away = await client.patch(`${services}/elsewhere`, "merge", { spec: { type: "ExternalName", externalName: "example.com" } });
  assert.equal(addressesIn(away.body), undefined);
});

test("both families, in the order that was asked for", async () => {
  await using running = await open("10.9.0.0/24,fd00:9::/112");
  const { create } = running;
  const families = async (spec: Mutable) => {
    const { body } = await create(`s${crypto.randomUUID().slice(0, 8)}`, spec);
    return [valueAt(body, "spec", "ipFamilies"), (addressesIn(body) as string[]).map((address) => (address.includes(":") ? 6 : 4))];
  };
  assert.deepEqual(await families({}), [["IPv4"], [4]]);
  assert.deepEqual(await families({ ipFamilies: ["IPv6"] }), [["IPv6"], [6]]);
  assert.deepEqual(await families({ ipFamilyPolicy: "PreferDualStack" }), [
    ["IPv4", "IPv6"],
    [4, 6],
  ]);
  assert.deepEqual(await families({ ipFamilyPolicy: "RequireDualStack", ipFamilies: ["IPv6"] }), [
    ["IPv6", "IPv4"],
    [6, 4],
  ]);
  assert.deepEqual(await families({ clusterIP: "FD00:9::00ff" }), [["IPv6"], [6]]);
});

test("a dry run takes no address", async () => {
  await using running = await open("10.9.0.0/29");
  const { client } = running;
  for (let round = 0; round < 20; round += 1) {
    const object = { metadata: { name: "x" }, spec: { ports: [{ port: 80 }] } };
    assert.equal((await client.post(`${services}?dryRun=All`, object)).code, 201);
  }
});

test("the API is a service itself, at the first address, and says where it is", async () => {
  await using running = await open("10.9.0.0/24", { advertisedAddresses: ["192.0.2.1", "2001:db8::1"] });
  const { client, server } = running;
  const { body } = await client.get(`${services}/kubernetes`);
  assert.deepEqual(addressesIn(body), ["10.9.0.1"]);
  assert.equal(listAt(body, "spec", "ports")[0]?.targetPort, server.port);
  const slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io/service-name%3Dkubernetes";
  await eventually(async () => {
    const items = listAt((await client.get(slices)).body, "items");
    assert.deepEqual(
      items.map((slice) => [slice.addressType, listAt(slice, "endpoints")[0]?.addresses, listAt(slice, "ports")[0]?.port]),
      [
        ["IPv4", ["192.0.2.1"], server.port],
        ["IPv6", ["2001:db8::1"], server.port],
      ],
    );
  });
});

test("addresses are picked above those that people choose, while there are any", () => {
  const [range] = ranges("10.9.0.0/24");
  assert.ok(range !== undefined);
  const used = new Set<string>();
  const order: string[] = [];
  for (let count = 0; count < 254; count += 1) {
    const address = pickAddress(
      range,
      (one) => used.has(one),
      () => 0,
    );
    assert.ok(address !== undefined);
    used.add(address);
    order.push(address);
  }
  assert.equal(
    pickAddress(
      range,
      (one) => used.has(one),
      () => 0,
    ),
    undefined,
  );
  assert.deepEqual([order[0], order[237], order[238], order.at(-1)], ["10.9.0.17", "10.9.0.254", "10.9.0.1", "10.9.0.16"]);
  assert.equal(addressAt(range, 0n), "10.9.0.1");
});
