import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAddress } from "@cilium-ts/net";
import { sampleContext } from "../testing.ts";
import { EndpointResolver } from "./endpoint-resolver.ts";

test("a pod of another node has its name, as long as it has the address, and the labels of its identity", () => {
  const context = sampleContext();
  const resolver = new EndpointResolver(context);
  const address = parseAddress("10.0.9.9");
  assert.ok(address !== undefined);
  context.setRemotePod(address, { namespace: "far", podName: "away" }, 100);
  context.setRemotePod(address, undefined, 200);
  const at = (timeNs: number) => resolver.resolve(address, 0, 1002, timeNs);
  assert.deepEqual([at(50)?.podName, at(150)?.podName, at(150)?.namespace, at(250)?.podName], ["away", "away", "far", ""]);
  assert.deepEqual([at(150)?.id, at(150)?.identity, at(150)?.labels], [0, 1002, ["k8s:app=web", "k8s:io.kubernetes.pod.namespace=shop"]]);
  assert.equal(at(150), at(160), "the same object for the same answer");
});
