import assert from "node:assert/strict";
import { test } from "node:test";
import type { EndpointRow } from "@cilium-ts/endpoint";
import { type CniEndpoints, CniHandler } from "./cni-handler.ts";

const routers = { ipv4: "10.0.1.1", ipv6: "fd00::1" };
const endpoint = {
  id: 7,
  state: "ready",
  hostDeviceName: "lxc1",
  hostMac: "02:00:00:00:00:01",
  containerIfname: "eth0",
  mac: "02:00:00:00:00:02",
  ipv4: "10.0.1.2",
  ipv6: "fd00::2",
  netnsPath: "/run/netns/pod",
} as EndpointRow;

/** Endpoints in memory, with a log of what was asked of them. */
function createEndpoints(notReady?: string): { endpoints: CniEndpoints; log: string[] } {
  const log: string[] = [];
  let row: EndpointRow | undefined = notReady === undefined ? undefined : { ...endpoint, state: "restoring" };
  const endpoints: CniEndpoints = {
    notReady: () => notReady,
    byAttachmentId: () => row,
    byContainerId: () => (row === undefined ? [] : [row]),
    async add({ containerId }) {
      log.push(`add ${containerId}`);
      await new Promise((resolve) => setImmediate(resolve));
      row = endpoint;
      return row;
    },
    async remove({ id }) {
      log.push(`remove ${id}`);
      row = undefined;
    },
    async removeLeftover(attachmentId) {
      log.push(`remove what is left of ${attachmentId}`);
    },
    complaint: async () => undefined,
  };
  return { endpoints, log };
}

const call = (command: string): object => ({
  command,
  containerId: "c1",
  netns: "/run/netns/pod",
  ifname: "eth0",
  config: { cniVersion: "1.0.0", name: "cilium", type: "cilium-cni" },
});

test("only ADD has something to tell when all is well", async () => {
  const { endpoints } = createEndpoints();
  const handler = new CniHandler(endpoints, routers);
  const { status, body } = await handler.handle(call("ADD"));
  assert.deepEqual([status, (body as { cniVersion: string }).cniVersion], [200, "1.0.0"]);
  for (const command of ["CHECK", "STATUS", "DEL", "DEL"]) {
    assert.deepEqual(await handler.handle(call(command)), { status: 200, body: undefined }, command);
  }
});

test("calls for one container are served one after another, and ADD twice makes one endpoint", async () => {
  const { endpoints, log } = createEndpoints();
  const handler = new CniHandler(endpoints, routers);
  const answers = await Promise.all(["ADD", "ADD", "DEL", "ADD"].map((command) => handler.handle(call(command))));
  assert.deepEqual(answers[0], answers[1]);
  assert.deepEqual(log, ["add c1", "remove 7", "add c1"]);
});

test("an agent that is not ready refuses ADD, and takes nothing from an endpoint that it has not restored yet", async () => {
  const { endpoints, log } = createEndpoints("waiting for policies");
  const handler = new CniHandler(endpoints, routers);
  const { status, body } = await handler.handle(call("ADD"));
  assert.equal(status, 400);
  const msg = "cilium-agent is not ready: waiting for policies; try again later";
  assert.deepEqual(body, { cniVersion: "1.0.0", code: 11, msg });
  assert.deepEqual(log, []);
});

test("what cannot be served is an error of the specification", async () => {
  const { endpoints } = createEndpoints();
  const handler = new CniHandler(endpoints, routers);
  assert.deepEqual(await handler.handle(call("CHECK")), {
    status: 400,
    body: { cniVersion: "1.0.0", code: 100, msg: "there is no endpoint for c1:eth0: run ADD first" },
  });
  const { body } = await handler.handle({ ...call("ADD"), config: { cniVersion: "9.9.9" } });
  assert.equal((body as { code: number }).code, 1);
});

test("ADD for the same attachment in another namespace takes the former endpoint down first", async () => {
  const { endpoints, log } = createEndpoints();
  const handler = new CniHandler(endpoints, routers);
  await handler.handle(call("ADD"));
  await handler.handle({ ...call("ADD"), netns: "/run/netns/again" });
  assert.deepEqual(log, ["add c1", "remove 7", "add c1"]);
});

test("DEL of what nobody knows removes what an agent may have left when it died", async () => {
  const { endpoints, log } = createEndpoints();
  const handler = new CniHandler(endpoints, routers);
  assert.equal((await handler.handle(call("DEL"))).status, 200);
  assert.equal((await handler.handle({ ...call("DEL"), ifname: "" })).status, 200);
  assert.deepEqual(log, ["remove what is left of c1:eth0"]);
});

const failures: ReadonlyArray<readonly [string, Partial<CniEndpoints>, object, number, number]> = [
  ["a failure of ours", { add: () => Promise.reject(new Error("boom")) }, call("ADD"), 500, 999],
  ["a removal that fails, so that it is tried again", { removeLeftover: () => Promise.reject(new Error("busy")) }, call("DEL"), 500, 999],
  ["STATUS while the agent starts", { notReady: () => "waiting" }, call("STATUS"), 400, 50],
  ["ADD behind another plugin", {}, { ...call("ADD"), config: { cniVersion: "1.0.0", prevResult: {} } }, 400, 2],
];
for (const [name, change, body, status, code] of failures) {
  test(`the answer to ${name}`, async () => {
    const handler = new CniHandler({ ...createEndpoints().endpoints, ...change }, routers);
    const answer = await handler.handle(body);
    assert.deepEqual([answer.status, (answer.body as { code: number }).code], [status, code]);
  });
}

test("CHECK says what is wrong with an endpoint", async () => {
  const { endpoints } = createEndpoints();
  const handler = new CniHandler(
    { ...endpoints, byAttachmentId: () => endpoint, complaint: async () => "its device lxc1 is gone" },
    routers,
  );
  assert.deepEqual((await handler.handle(call("CHECK"))).body, {
    cniVersion: "1.0.0",
    code: 101,
    msg: "endpoint 7 is not healthy: its device lxc1 is gone",
  });
});

test("calls for different containers do not wait for each other, and one that fails holds nobody up", async () => {
  const { endpoints } = createEndpoints();
  const held = Promise.withResolvers<EndpointRow>();
  const add: CniEndpoints["add"] = ({ containerId }) => (containerId === "slow" ? held.promise : Promise.resolve(endpoint));
  const handler = new CniHandler({ ...endpoints, add }, routers);
  const slow = handler.handle({ ...call("ADD"), containerId: "slow" });
  const next = handler.handle({ ...call("DEL"), containerId: "slow" });
  assert.equal((await handler.handle({ ...call("ADD"), containerId: "quick" })).status, 200);
  held.reject(new Error("boom"));
  assert.deepEqual([(await slow).status, (await next).status], [500, 200]);
});
