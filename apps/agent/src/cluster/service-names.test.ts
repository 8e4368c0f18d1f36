import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesObject } from "@cilium-ts/kubernetes";
import { formatAddress } from "@cilium-ts/net";
import { ServiceNames } from "./service-names.ts";

const service = (clusterIP: string, ports: readonly number[]): KubernetesObject =>
  ({ metadata: { name: "web", namespace: "shop" }, spec: { clusterIP, ports: ports.map((port) => ({ port })) } }) as never;

test("flows are told a service's addresses, what changes of them, and that it is gone", () => {
  const told: string[] = [];
  const names = new ServiceNames({
    setService: ({ address, port }, named) => void told.push(`${formatAddress(address)}:${port} ${named?.namespace}/${named?.name}`),
  });
  const take = (): string[] => told.splice(0);
  names.upsert(service("10.96.0.1", [80, 443]));
  assert.deepEqual(take(), ["10.96.0.1:80 shop/web", "10.96.0.1:443 shop/web"]);
  names.upsert(service("10.96.0.1", [80]));
  assert.deepEqual(take(), ["10.96.0.1:443 undefined/undefined", "10.96.0.1:80 shop/web"]);
  names.remove({ namespace: "shop", name: "web" });
  names.remove({ namespace: "shop", name: "never" });
  assert.deepEqual(take(), ["10.96.0.1:80 undefined/undefined"]);
});
