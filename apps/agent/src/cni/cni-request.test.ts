import assert from "node:assert/strict";
import { test } from "node:test";
import { CniError, cniErrorCode, parseCniArgs, parseCniRequest, supportedCniVersions } from "./cni-request.ts";

const config = { cniVersion: "1.0.0", name: "cilium", type: "cilium-cni" };
const add = { command: "ADD", containerId: "c1", netns: "/run/netns/c1", ifname: "eth0", args: "", config };

test("a call of the plugin is read in full", () => {
  const args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_UID=u1;mac=02:00:00:00:00:01";
  assert.deepEqual(parseCniRequest({ ...add, args, config: { ...config, mtu: 1_400, prevResult: null } }), {
    command: "ADD",
    containerId: "c1",
    namespacePath: "/run/netns/c1",
    interfaceName: "eth0",
    cniVersion: "1.0.0",
    pod: { namespace: "shop", name: "web", uid: "u1" },
    mac: "02:00:00:00:00:01",
    mtu: 1_400,
    hasPrevResult: false,
  });
});

const accepted: ReadonlyArray<readonly [string, object]> = [
  ["a workload that is no pod", add],
  ["arguments without values", { ...add, args: ";;K8S_POD_NAME;=x" }],
  ["no mtu of its own", { ...add, config: { ...config, mtu: 0 } }],
  ["no version: the first one", { ...add, config: { name: "cilium" } }],
  ["DEL after the namespace has gone", { ...add, command: "DEL", netns: "" }],
  ["DEL of all interfaces", { ...add, command: "DEL", netns: undefined, ifname: undefined }],
  ["STATUS, which is about nobody", { command: "STATUS", config }],
  ...supportedCniVersions.map((cniVersion) => [`version ${cniVersion}`, { ...add, config: { ...config, cniVersion } }] as const),
];
for (const [name, body] of accepted) {
  test(`accepted: ${name}`, () => {
    assert.ok(parseCniRequest(body));
  });
}

const refused: ReadonlyArray<readonly [string, unknown, number, RegExp]> = [
  ["nothing", undefined, cniErrorCode.decodeFailure, /the request is not a JSON object/],
  ["text", "ADD", cniErrorCode.decodeFailure, /the request is not a JSON object/],
  ["a list", [add], cniErrorCode.decodeFailure, /the request is not a JSON object/],
  ["no configuration", { ...add, config: undefined }, cniErrorCode.decodeFailure, /the network configuration is not a JSON object/],
  [
    "a version of the future",
    { ...add, config: { cniVersion: "2.0.0" } },
    cniErrorCode.incompatibleVersion,
    /cniVersion 2\.0\.0 is not supported: use one of 0\.1\.0/,
  ],
  ["a version that is a number", { ...add, config: { cniVersion: 1 } }, cniErrorCode.invalidNetworkConfig, /cniVersion is text, not 1/],
  ["an unknown command", { ...add, command: "GC" }, cniErrorCode.invalidEnvironment, /CNI_COMMAND "GC" is not known: use ADD/],
  ["no container", { ...add, containerId: "" }, cniErrorCode.invalidEnvironment, /CNI_CONTAINERID is empty.*for ADD/],
  ["no namespace", { ...add, netns: "" }, cniErrorCode.invalidEnvironment, /CNI_NETNS is empty/],
  ["no interface", { ...add, command: "CHECK", ifname: "" }, cniErrorCode.invalidEnvironment, /CNI_IFNAME is empty.*for CHECK/],
  ["a namespace that is no text", { ...add, netns: 7 }, cniErrorCode.invalidEnvironment, /netns is text, not 7/],
  [
    "an mtu below IPv6's least",
    { ...add, config: { ...config, mtu: 1_279 } },
    cniErrorCode.invalidNetworkConfig,
    /mtu is a whole number from 1280 to 65535, not 1279/,
  ],
  ["an mtu that is text", { ...add, config: { ...config, mtu: "1500" } }, cniErrorCode.invalidNetworkConfig, /not "1500"/],
];
for (const [name, body, code, message] of refused) {
  test(`refused: ${name}`, () => {
    assert.throws(
      () => parseCniRequest(body),
      (cause) => cause instanceof CniError && cause.code === code && message.test(cause.message),
    );
  });
}

test("arguments keep what stands behind the first equals sign", () => {
  assert.deepEqual(
    [...parseCniArgs("a=1;b=x=y;c=")],
    [
      ["a", "1"],
      ["b", "x=y"],
      ["c", ""],
    ],
  );
});
