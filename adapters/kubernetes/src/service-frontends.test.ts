import assert from "node:assert/strict";
import { test } from "node:test";
import { formatAddress } from "@cilium-ts/net";
import { serviceFrontendsFrom } from "./service-frontends.ts";

const frontends = (fields: object): string[] =>
  serviceFrontendsFrom({ metadata: { name: "web" }, ...fields } as never).map(({ address, port }) => `${formatAddress(address)} ${port}`);

test("a service is reached by each of its addresses on each of its ports, once", () => {
  const spec = {
    clusterIP: "10.96.0.1",
    clusterIPs: ["10.96.0.1", "fd00:96::1"],
    externalIPs: ["192.0.2.1"],
    ports: [{ port: 80 }, { port: 443 }, { port: 80, protocol: "UDP" }],
  };
  const status = { loadBalancer: { ingress: [{ ip: "198.51.100.1" }, { hostname: "elb.example.com" }] } };
  const addresses = ["10.96.0.1", "fd00:96::1", "192.0.2.1", "198.51.100.1"];
  assert.deepEqual(
    frontends({ spec, status }),
    addresses.flatMap((address) => [`${address} 80`, `${address} 443`]),
  );
});

test("a headless service, and whatever is no service, is reached nowhere", () => {
  assert.deepEqual(frontends({ spec: { clusterIP: "None", clusterIPs: ["None"], ports: [{ port: 80 }] } }), []);
  assert.deepEqual(frontends({ spec: { clusterIP: "10.96.0.1", ports: [null, "x", { port: "80" }, { port: 70_000 }] } }), []);
  assert.deepEqual(frontends({}), []);
});
