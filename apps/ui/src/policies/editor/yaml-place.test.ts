import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { yamlKeyAt, yamlPlaceAt } from "./yaml-place.ts";

const head = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n";

/** `|` is the cursor. */
function placeIn(marked: string) {
  const offset = marked.indexOf("|");
  return yamlPlaceAt(marked.replace("|", ""), offset);
}

suite("the place in a document that is being written", () => {
  for (const [what, text, expected] of [
    ["the root of an empty text", "|", "key  ''"],
    ["a key of the root", `${head}sp|`, "key  'sp'"],
    ["a key in a map", "spec:\n  end|", "key spec 'end'"],
    ["an empty line in a map", "spec:\n  |\n", "key spec ''"],
    ["an item of a list that is indented", "spec:\n  ingress:\n    - from|", "key spec.ingress.[] 'from'"],
    ["an item of a list that is not", "spec:\n  ingress:\n  - from|", "key spec.ingress.[] 'from'"],
    ["a further key of an item", "spec:\n  ingress:\n  - fromEndpoints:\n    - {}\n    to|", "key spec.ingress.[] 'to'"],
    [
      "a list in a list",
      "spec:\n  egress:\n    - toPorts:\n        - ports:\n            - po|",
      "key spec.egress.[].toPorts.[].ports.[] 'po'",
    ],
    ["a second item", "spec:\n  ingress:\n    - fromEntities: [world]\n    - |", "key spec.ingress.[] ''"],
    ["an item that is a text", "spec:\n  ingress:\n    - fromEntities:\n        - wor|", "key spec.ingress.[].fromEntities.[] 'wor'"],
    [
      "a value",
      `${head}spec:\n  ingress:\n    - toPorts:\n        - ports:\n            - protocol: T|`,
      "value spec.ingress.[].toPorts.[].ports.[] 'T' of protocol",
    ],
    ["an empty value", "kind: |", "value  '' of kind"],
    ["a second document", "spec:\n  a: 1\n---\nmeta|", "key  'meta'"],
    ["after a list that ended", "spec:\n  ingress:\n    - {}\n  eg|", "key spec 'eg'"],
  ] as const) {
    test(`is told for ${what}`, () => {
      const place = placeIn(text);
      assert.ok(place);
      const { at, path, prefix, key } = place;
      assert.equal(`${at} ${path.join(".")} '${prefix}'${key === "" ? "" : ` of ${key}`}`, expected);
    });
  }

  for (const [what, text] of [
    ["a comment", "spec: # wh|"],
    ["a text of several lines", "metadata:\n  annotations:\n    note: |-\n      sp|".replace("|-", ">-")],
    ["a list in brackets", "fromEntities: [wor|"],
    ["a text with blanks", "some words|"],
  ] as const) {
    test(`is none in ${what}`, () => assert.equal(placeIn(text), undefined));
  }

  test("knows the kind, and the other keys of the map", () => {
    const place = placeIn(`${head}spec:\n  endpointSelector: {}\n  |\n  egress: []\nother: 1`);
    assert.deepEqual([place?.apiVersion, place?.kind], ["cilium.io/v2", "CiliumNetworkPolicy"]);
    assert.deepEqual(place?.siblings.toSorted(), ["egress", "endpointSelector"]);
    assert.deepEqual(placeIn("a:\n  - one: 1\n    |\n    two: 2\n  - three: 3")?.siblings.toSorted(), ["one", "two"]);
  });
});

test("the key under the pointer is told with the path of its map", () => {
  const text = "spec:\n  ingress:\n    - toPorts:\n        - ports: []";
  const key = yamlKeyAt(text, text.indexOf("ports:") + 2);
  assert.deepEqual([key?.key, key?.path.join("."), text.slice(key?.from, key?.to)], ["ports", "spec.ingress.[].toPorts.[]", "ports"]);
  assert.equal(yamlKeyAt(text, 1)?.key, "spec");
  assert.equal(yamlKeyAt("a: b", 3), undefined);
});
