import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesObject } from "@cilium-ts/kubernetes";
import { SlicedEndpoints } from "./sliced-endpoints.ts";

function slice(name: string, endpoints: Readonly<Record<string, readonly [identity: number, ipv4: string]>>): KubernetesObject {
  const list = Object.entries(endpoints).map(([endpoint, [id, ipv4]]) => ({
    name: endpoint,
    id,
    networking: { addressing: [{ ipv4 }], node: "192.0.2.2" },
  }));
  return { metadata: { name }, namespace: "shop", endpoints: list } as unknown as KubernetesObject;
}

function open(): { sliced: SlicedEndpoints; told: () => string[] } {
  let lines: string[] = [];
  const sliced = new SlicedEndpoints({
    onUpsert: ({ metadata, status }) => void lines.push(`${metadata.namespace}/${metadata.name} ${JSON.stringify(status)}`),
    onDelete: ({ namespace, name }) => void lines.push(`${namespace}/${name} gone`),
  });
  const told = (): string[] => {
    const taken = lines;
    lines = [];
    return taken;
  };
  return { sliced, told };
}

test("each endpoint of a slice is told once, as its own object would show it, and again only when it changes", () => {
  const { sliced, told } = open();
  sliced.upsert(slice("one", { web: [300, "10.0.2.7"], db: [301, "10.0.2.8"] }));
  assert.deepEqual(told(), [
    'shop/web {"identity":{"id":300},"networking":{"addressing":[{"ipv4":"10.0.2.7"}],"node":"192.0.2.2"}}',
    'shop/db {"identity":{"id":301},"networking":{"addressing":[{"ipv4":"10.0.2.8"}],"node":"192.0.2.2"}}',
  ]);
  sliced.upsert(slice("one", { web: [300, "10.0.2.7"], db: [302, "10.0.2.8"] }));
  assert.match(told().join(), /^shop\/db .*302[^,]*,"networking"[^;]*$/);
  sliced.upsert(slice("one", { db: [302, "10.0.2.8"] }));
  assert.deepEqual(told(), ["shop/web gone"]);
  sliced.remove("one");
  assert.deepEqual(told(), ["shop/db gone"]);
});

for (const [what, steps] of [
  ["is in the new slice before it leaves the old", ["new+", "old-"]],
  ["leaves the old slice before it is in the new", ["old-", "new+"]],
] as const) {
  test(`an endpoint that passes between slices and ${what} ends up known`, () => {
    const { sliced, told } = open();
    sliced.upsert(slice("old", { web: [300, "10.0.2.7"] }));
    for (const step of steps) {
      if (step === "new+") sliced.upsert(slice("new", { web: [300, "10.0.2.7"] }));
      else sliced.upsert(slice("old", {}));
    }
    assert.match(told().at(-1) ?? "", /^shop\/web \{"identity"/);
    sliced.remove("new");
    assert.deepEqual(told(), ["shop/web gone"]);
  });
}

test("of two slices that have an endpoint the one heard of last stands, and the other when it goes", () => {
  const { sliced, told } = open();
  sliced.upsert(slice("one", { web: [300, "10.0.2.7"] }));
  sliced.upsert(slice("two", { web: [301, "10.0.2.7"] }));
  told();
  sliced.remove("two");
  assert.match(told().join(), /"id":300/);
  sliced.remove("one");
  assert.deepEqual(told(), ["shop/web gone"]);
});
