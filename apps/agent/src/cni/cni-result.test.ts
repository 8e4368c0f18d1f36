import assert from "node:assert/strict";
import { test } from "node:test";
import type { EndpointRow } from "@cilium-ts/endpoint";
import { cniResult } from "./cni-result.ts";

const routers = { ipv4: "10.0.1.1", ipv6: "fd00::1" };
const endpoint = {
  hostDeviceName: "lxc1",
  hostMac: "02:00:00:00:00:01",
  containerIfname: "eth0",
  mac: "02:00:00:00:00:02",
  ipv4: "10.0.1.2",
  ipv6: "fd00::2",
  netnsPath: "/run/netns/pod",
} as EndpointRow;

// The node's side comes first and addresses belong to the pod's, IPv6 before IPv4.
const interfaces = [
  { name: "lxc1", mac: "02:00:00:00:00:01" },
  { name: "eth0", mac: "02:00:00:00:00:02", sandbox: "/run/netns/pod" },
];
const routes = [{ dst: "fd00::1/128" }, { dst: "::/0", gw: "fd00::1" }, { dst: "10.0.1.1/32" }, { dst: "0.0.0.0/0", gw: "10.0.1.1" }];

for (const cniVersion of ["1.0.0", "1.1.0"]) {
  test(`the result of version ${cniVersion}`, () => {
    const ips = [
      { interface: 1, address: "fd00::2/128", gateway: "fd00::1" },
      { interface: 1, address: "10.0.1.2/32", gateway: "10.0.1.1" },
    ];
    assert.deepEqual(cniResult(endpoint, routers, cniVersion), { cniVersion, interfaces, ips, routes, dns: {} });
  });
}

for (const cniVersion of ["0.3.0", "0.3.1", "0.4.0"]) {
  test(`the result of version ${cniVersion} names the family of each address`, () => {
    const ips = [
      { version: "6", interface: 1, address: "fd00::2/128", gateway: "fd00::1" },
      { version: "4", interface: 1, address: "10.0.1.2/32", gateway: "10.0.1.1" },
    ];
    assert.deepEqual(cniResult(endpoint, routers, cniVersion), { cniVersion, interfaces, ips, routes, dns: {} });
  });
}

for (const cniVersion of ["0.1.0", "0.2.0"]) {
  test(`the result of version ${cniVersion} has one address of each family and no interfaces`, () => {
    assert.deepEqual(cniResult(endpoint, routers, cniVersion), {
      cniVersion,
      ip4: { ip: "10.0.1.2/32", gateway: "10.0.1.1", routes: [{ dst: "0.0.0.0/0", gw: "10.0.1.1" }] },
      ip6: { ip: "fd00::2/128", gateway: "fd00::1", routes: [{ dst: "::/0", gw: "fd00::1" }] },
      dns: {},
    });
  });
}
