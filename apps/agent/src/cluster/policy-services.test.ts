import assert from "node:assert/strict";
import { test } from "node:test";
import type { ServiceSlice } from "@cilium-ts/kubernetes";
import { Labels, Selector } from "@cilium-ts/labels";
import type { PolicyService } from "@cilium-ts/policy";
import { PolicyServices } from "./policy-services.ts";

function watch() {
  const told = new Map<string, readonly string[]>();
  const services = new PolicyServices({
    upsert: ({ namespace, name, addresses }) => void told.set(`${namespace}/${name}`, addresses),
    remove: (namespace, name) => void told.delete(`${namespace}/${name}`),
  });
  return { services, told: () => Object.fromEntries(told) };
}

const outside: PolicyService = { namespace: "shop", name: "bank", labels: Labels.empty, addresses: [] };
const slice = (name: string, addresses: string[], service = "bank"): ServiceSlice => ({
  namespace: "shop",
  name,
  service,
  addresses,
  ports: [],
});

test("a service without a selector is the addresses of all its slices, whichever comes first", () => {
  const { services, told } = watch();
  services.upsertSlice(slice("one", ["192.0.2.1"]));
  assert.deepEqual(told(), {});
  services.upsertService(outside);
  services.upsertSlice(slice("two", ["192.0.2.2", "192.0.2.1"]));
  assert.deepEqual(told(), { "shop/bank": ["192.0.2.1", "192.0.2.2"] });
  services.removeSlice("shop", "one");
  services.upsertSlice(slice("two", ["192.0.2.3"]));
  assert.deepEqual(told(), { "shop/bank": ["192.0.2.3"] });
  services.removeService("shop", "bank");
  assert.deepEqual(told(), {});
  services.upsertService(outside);
  assert.deepEqual(told(), { "shop/bank": ["192.0.2.3"] }, "slices outlive their service");
});

test("a slice may move to another service", () => {
  const { services, told } = watch();
  services.upsertService(outside);
  services.upsertService({ ...outside, name: "mint" });
  services.upsertSlice(slice("one", ["192.0.2.1"]));
  services.upsertSlice(slice("one", ["192.0.2.1"], "mint"));
  assert.deepEqual(told(), { "shop/bank": [], "shop/mint": ["192.0.2.1"] });
});

test("a service with a selector is what it selects, whatever its slices hold", () => {
  const { services, told } = watch();
  services.upsertSlice(slice("one", ["10.0.0.7"]));
  services.upsertService({ ...outside, selector: Selector.of({ matchLabels: { app: "bank" } }) });
  assert.deepEqual(told(), { "shop/bank": [] });
});
