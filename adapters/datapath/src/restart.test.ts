import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeMachine, openFakeKernel } from "@cilium-ts/kernel/testing";
import { type AddressBytes, parseAddress } from "@cilium-ts/net";
import { datapathDefaults, openDatapath } from "./index.ts";
import { emptyDatapathObjects, fakeDatapathObjects } from "./testing.ts";

function address(text: string): AddressBytes {
  const bytes = parseAddress(text);
  assert.ok(bytes !== undefined);
  return bytes;
}

const objects = emptyDatapathObjects();
const routers = { routerIPv4: address("10.0.0.1"), routerIPv6: address("fd00::1") };
const options = { ...datapathDefaults, ...routers, objects, bpfRoot: "/bpf" };

test("a start that dies between any two of its pins is followed by one that succeeds", () => {
  for (let after = 0; after < 40; after += 1) {
    const machine = new FakeMachine();
    const dying = openFakeKernel({ machine, objects: fakeDatapathObjects() });
    dying.failNext({ operation: "pin", code: "EIO", after });
    let died = false;
    try {
      using _datapath = openDatapath(dying, options);
    } catch {
      died = true;
    }
    dying.exit();
    const next = openFakeKernel({ machine, objects: fakeDatapathObjects() });
    using datapath = openDatapath(next, options);
    assert.equal(datapath.adopted, !died);
    if (!died) return;
  }
  assert.fail("a start has fewer pins than that");
});
