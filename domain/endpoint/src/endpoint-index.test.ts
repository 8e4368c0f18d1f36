import assert from "node:assert/strict";
import { test } from "node:test";
import { changeEndpoint, createEndpoint, type EndpointRow } from "./endpoint.ts";
import { EndpointIndex } from "./endpoint-index.ts";

function endpoint(id: number, options: { containerId?: string; ifname?: string; pod?: string } = {}): EndpointRow {
  return createEndpoint(
    {
      id,
      containerId: options.containerId ?? `c${id}`,
      containerIfname: options.ifname ?? "eth0",
      podNamespace: "default",
      podName: options.pod ?? `pod-${id}`,
      ifindex: 100 + id,
      hostDeviceName: `lxc${id}`,
      mac: "02:00:00:00:00:01",
      hostMac: "02:00:00:00:00:02",
      ipv4: `10.0.0.${id}`,
      ipv6: `fd00::${id}`,
    },
    0,
  );
}

const ids = (rows: Iterable<EndpointRow>): number[] => Array.from(rows, (row) => row.id);

test("an endpoint is found by each of its names", () => {
  const index = new EndpointIndex();
  const row = endpoint(1);
  index.upsert(row);
  index.upsert(endpoint(2));
  assert.equal(index.byId(1), row);
  assert.equal(index.byAttachmentId("c1:eth0"), row);
  assert.equal(index.byIfindex(101), row);
  assert.equal(index.byAddress("10.0.0.1"), row);
  assert.equal(index.byAddress("fd00::1"), row);
  assert.deepEqual(ids(index.byContainerId("c1")), [1]);
  assert.deepEqual(ids(index.byPod("default", "pod-1")), [1]);
  assert.equal(index.byAddress("10.0.0.9"), undefined);
});

test("one container with two interfaces is two endpoints", () => {
  const index = new EndpointIndex();
  index.upsert(endpoint(1, { containerId: "c", ifname: "eth0", pod: "p" }));
  index.upsert(endpoint(2, { containerId: "c", ifname: "eth1", pod: "p" }));
  assert.deepEqual(ids(index.byContainerId("c")), [1, 2]);
  index.delete(1);
  assert.deepEqual(ids(index.byPod("default", "p")), [2]);
  assert.equal(index.byAttachmentId("c:eth0"), undefined);
});

test("an endpoint whose address changes is no longer found by the old one", () => {
  const index = new EndpointIndex();
  index.upsert(endpoint(1));
  index.upsert(changeEndpoint(endpoint(1), { ipv4: "10.0.0.77", ipv6: undefined }));
  assert.equal(index.byAddress("10.0.0.1"), undefined);
  assert.equal(index.byAddress("fd00::1"), undefined);
  assert.equal(index.byAddress("10.0.0.77")?.id, 1);
  assert.equal(index.size, 1);
});

test("a name that belongs to another endpoint is a conflict that names it", () => {
  const index = new EndpointIndex();
  index.upsert(endpoint(1));
  assert.equal(index.conflict(endpoint(1)), undefined);
  assert.equal(index.conflict(endpoint(2)), undefined);
  assert.equal(index.conflict(changeEndpoint(endpoint(2), { ipv4: "10.0.0.1" })), "address 10.0.0.1 belongs to endpoint 1 (default/pod-1)");
});

test("nothing is left of what was deleted", () => {
  const index = new EndpointIndex();
  for (let id = 1; id <= 20; id += 1) index.upsert(endpoint(id));
  for (let id = 1; id <= 20; id += 1) index.delete(id);
  index.delete(5);
  assert.deepEqual(ids(index.rows()), []);
  assert.deepEqual(ids(index.byContainerId("c3")), []);
  assert.equal(index.byIfindex(103), undefined);
});
