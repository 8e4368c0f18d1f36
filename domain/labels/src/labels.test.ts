import assert from "node:assert/strict";
import { test } from "node:test";
import { formatLabel, parseLabel } from "./label.ts";
import { Labels } from "./labels.ts";

for (const [text, expected, written] of [
  ["k8s:app=web", { source: "k8s", key: "app", value: "web" }, "k8s:app=web"],
  ["app=web", { source: "unspec", key: "app", value: "web" }, "unspec:app=web"],
  ["reserved:host", { source: "reserved", key: "host", value: "" }, "reserved:host"],
  ["reserved:host=", { source: "reserved", key: "host", value: "" }, "reserved:host"],
  ["app", { source: "unspec", key: "app", value: "" }, "unspec:app"],
  [":app", { source: "unspec", key: "app", value: "" }, "unspec:app"],
  ["k8s:url=http://x=y", { source: "k8s", key: "url", value: "http://x=y" }, "k8s:url=http://x=y"],
  ["url=http://x", { source: "unspec", key: "url", value: "http://x" }, "unspec:url=http://x"],
  ["cidr:10.0.0.0/8", { source: "cidr", key: "10.0.0.0/8", value: "" }, "cidr:10.0.0.0/8"],
] as const) {
  test(`${text} is read, and written ${written}`, () => {
    const label = parseLabel(text);
    assert.deepEqual(label, expected);
    assert.ok(label !== undefined);
    assert.equal(formatLabel(label), written);
  });
}

for (const text of ["", "=web", "k8s:", "k8s:=web"]) {
  test(`${JSON.stringify(text)} has no key`, () => assert.equal(parseLabel(text), undefined));
}

test("sets are equal when they hold the same labels, in whatever order and how often", () => {
  const one = Labels.parse(["k8s:b=2", "k8s:a=1", "reserved:host"]);
  const other = Labels.parse(["reserved:host", "k8s:a=1", "k8s:b=2", "k8s:a=1"]);
  assert.equal(one.key, other.key);
  assert.ok(one.equals(other));
  assert.deepEqual(one.format(), ["k8s:a=1", "k8s:b=2", "reserved:host"]);
  assert.ok(!one.equals(Labels.parse(["k8s:a=1", "k8s:b=3", "reserved:host"])));
});

test("a value cannot pretend to be another label", () => {
  const one = Labels.of([{ source: "container", key: "a", value: "1;container:b=2" }]);
  const two = Labels.of([
    { source: "container", key: "a", value: "1" },
    { source: "container", key: "b", value: "2" },
  ]);
  assert.notEqual(one.key, two.key);
});

test("one key may come from several sources; any is the first of them", () => {
  const labels = Labels.parse(["k8s:app=web", "container:app=nginx"]);
  assert.equal(labels.size, 2);
  assert.equal(labels.get("k8s", "app"), "web");
  assert.equal(labels.get("any", "app"), "nginx");
  assert.equal(labels.get("node", "app"), undefined);
});

test("of one source and key the last value holds", () => {
  assert.equal(
    Labels.parse(["k8s:a=1"])
      .with(Labels.parse(["k8s:a=2"]))
      .get("k8s", "a"),
    "2",
  );
});
