import assert from "node:assert/strict";
import { test } from "node:test";
import {
  changeEndpoint,
  createEndpoint,
  type EndpointRow,
  endpointLogLengthMax,
  logEndpoint,
  restoreEndpoint,
  setEndpointState,
} from "./endpoint.ts";
import { type EndpointState, endpointStates, mayFollow } from "./state.ts";

const row = createEndpoint(
  {
    id: 7,
    containerId: "c1",
    containerIfname: "eth0",
    podNamespace: "default",
    podName: "client",
    ifindex: 12,
    hostDeviceName: "lxc12ab",
    mac: "02:00:00:00:00:01",
    hostMac: "02:00:00:00:00:02",
    ipv4: "10.0.0.5",
  },
  1000,
);

function inState(state: EndpointState): EndpointRow {
  return { ...row, state };
}

/** From a state to those that may follow; every other pair is refused. */
const follows: Record<EndpointState, string> = {
  "waiting-for-identity": "waiting-to-regenerate restoring disconnecting invalid",
  "waiting-to-regenerate": "waiting-for-identity regenerating restoring disconnecting",
  regenerating: "waiting-for-identity waiting-to-regenerate restoring ready not-ready disconnecting",
  restoring: "waiting-for-identity waiting-to-regenerate regenerating ready disconnecting invalid",
  ready: "waiting-for-identity waiting-to-regenerate restoring disconnecting",
  "not-ready": "waiting-for-identity waiting-to-regenerate restoring disconnecting",
  disconnecting: "disconnected",
  disconnected: "",
  invalid: "",
};

for (const from of endpointStates) {
  test(`after ${from} comes ${follows[from] === "" ? "nothing" : follows[from]}`, () => {
    const changed = endpointStates.filter((to) => setEndpointState(inState(from), to, { nowMs: 2000, message: "why" }).kind === "changed");
    assert.equal(changed.join(" "), follows[from]);
  });
}

test("a new endpoint waits for its identity, has no policy, and knows its attachment", () => {
  assert.equal(row.state, "waiting-for-identity");
  assert.equal(row.policySet, 0);
  assert.equal(row.cniAttachmentId, "c1:eth0");
});

test("from creation to ready and gone, each step is logged", () => {
  const path: EndpointState[] = ["waiting-to-regenerate", "regenerating", "ready", "disconnecting", "disconnected"];
  let current = row;
  for (const [index, state] of path.entries()) {
    const transition = setEndpointState(current, state, { nowMs: 2000 + index, message: `step ${index}` });
    assert.equal(transition.kind, "changed");
    current = transition.row;
  }
  assert.deepEqual(
    current.log.map((entry) => `${entry.atMs} ${entry.state} ${entry.message}`),
    [
      "1000 waiting-for-identity created",
      "2000 waiting-to-regenerate step 0",
      "2001 regenerating step 1",
      "2002 ready step 2",
      "2003 disconnecting step 3",
      "2004 disconnected step 4",
    ],
  );
});

test("work that ends after its endpoint was taken down is refused, with the reason", () => {
  const transition = setEndpointState(inState("disconnecting"), "ready", { nowMs: 2000, message: "done" });
  assert.equal(transition.kind, "refused");
  assert.equal(transition.kind === "refused" && transition.reason, "endpoint 7 is disconnecting and cannot become ready");
  assert.equal(transition.row.state, "disconnecting");
});

test("staying in a state is no change and is not logged", () => {
  const transition = setEndpointState(row, "waiting-for-identity", { nowMs: 2000, message: "again" });
  assert.deepEqual([transition.kind, transition.row], ["unchanged", row]);
});

test("the log keeps the last changes and cuts long messages", () => {
  let current = row;
  for (let count = 0; count < 200; count += 1)
    current = logEndpoint(current, { atMs: count, code: "failed", message: `${count} ${"x".repeat(10_000)}` });
  assert.equal(current.log.length, endpointLogLengthMax);
  assert.equal(current.log.at(0)?.atMs, 200 - endpointLogLengthMax);
  assert.equal(current.log.at(-1)?.atMs, 199);
  assert.ok((current.log.at(-1)?.message.length ?? 0) < 1000);
});

test("failure states are logged as failed", () => {
  const transition = setEndpointState(inState("regenerating"), "not-ready", { nowMs: 1, message: "map is full" });
  assert.equal(transition.row.log.at(-1)?.code, "failed");
});

test("a change makes a new row and leaves the old as it was", () => {
  const changed = changeEndpoint(row, { identity: 300, labels: ["k8s:app=client"] });
  assert.equal(row.identity, 0);
  assert.equal(changed.identity, 300);
  assert.throws(() => Object.assign(changed, { identity: 1 }), TypeError);
});

test("a restored endpoint is restoring, unless it was going away", () => {
  assert.equal(restoreEndpoint(inState("ready"), 5000).state, "restoring");
  assert.equal(restoreEndpoint(inState("disconnecting"), 5000).state, "disconnecting");
  for (const state of endpointStates.filter((from) => mayFollow(from, "disconnecting"))) {
    assert.equal(mayFollow(restoreEndpoint(inState(state), 5000).state, "disconnecting"), true, state);
  }
});
