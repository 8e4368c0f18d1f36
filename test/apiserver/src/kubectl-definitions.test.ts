import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { eventually } from "@cilium-ts/testing";
import { Kubectl } from "./kubectl.ts";
import { type RunningServer, startProgram } from "./program.ts";

// A kind that a user defines while the server runs, and what kubectl can do with it.

const folder = mkdtempSync(join(tmpdir(), "cilium-ts-kubectl-crd-"));
let server: RunningServer;
let kubectl: Kubectl;

before(async () => {
  server = await startProgram(join(folder, "state"));
  kubectl = await Kubectl.open(server.kubeconfig, join(folder, "cache"));
});
after(async () => {
  await server.stop("SIGTERM");
  rmSync(folder, { recursive: true, force: true });
});
const run: Kubectl["run"] = (...args) => kubectl.run(...args);
const succeed: Kubectl["succeed"] = (...args) => kubectl.succeed(...args);

const definition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: widgets.example.com }
spec:
  group: example.com
  scope: Namespaced
  names: { kind: Widget, plural: widgets, singular: widget, shortNames: [wd], categories: [all] }
  versions:
    - name: v1
      served: true
      storage: true
      subresources: { status: {}, scale: { specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas } }
      selectableFields: [{ jsonPath: .spec.colour }]
      additionalPrinterColumns:
        - { name: Size, type: integer, jsonPath: .spec.size }
        - { name: Ready, type: string, jsonPath: '.status.conditions[?(@.type=="Ready")].status' }
        - { name: Colour, type: string, jsonPath: .spec.colour, priority: 1 }
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              required: [colour]
              x-kubernetes-validations: [{ rule: self.size < 100, message: too big }]
              properties:
                colour: { type: string, enum: [red, green], description: What it looks like }
                size: { type: integer, default: 3, minimum: 1 }
                replicas: { type: integer }
                parts:
                  type: array
                  x-kubernetes-list-type: map
                  x-kubernetes-list-map-keys: [name]
                  items: { type: object, required: [name], properties: { name: { type: string }, use: { type: string, default: any } } }
            status: { type: object, x-kubernetes-preserve-unknown-fields: true }
`;
const widget = (name: string, spec: string, metadata = ""): string => `
apiVersion: example.com/v1
kind: Widget
metadata: { name: ${name}${metadata} }
spec: { ${spec} }
---`;

test("a kind is there as soon as it is defined: explained, validated, defaulted, pruned and shown", async () => {
  await succeed("apply -f -", definition);
  await succeed("wait --for=condition=Established crd/widgets.example.com");
  assert.match(await succeed("explain widget.spec.colour"), /ENUM:\n +red\n +green[\s\S]*What it looks like/);
  assert.match((await run("apply -f -", widget("w", "colour: red, frob: 1"))).errors, /unknown field "spec\.frob"/);
  await succeed("apply --validate=false -f -", widget("w", "colour: red, frob: 1, parts: [{ name: a }]"));
  assert.equal(
    await succeed("get wd w -o jsonpath={.spec}"),
    JSON.stringify({ colour: "red", parts: [{ name: "a", use: "any" }], size: 3 }),
  );
  const refused: readonly [string, RegExp][] = [
    ["size: 2", /spec\.colour: Required value/],
    ["colour: blue", /spec\.colour: Unsupported value: "blue": supported values: "red", "green"/],
    ["colour: red, size: 0", /spec\.size: Invalid value: 0: .*greater than or equal to 1/],
    ["colour: red, size: 200", /spec: Invalid value: "object": too big/],
    ["colour: red, parts: [{ name: a }, { name: a }]", /spec\.parts\[1\]: Duplicate value/],
  ];
  for (const [spec, message] of refused) assert.match((await run("create -f -", widget("bad", spec))).errors, message, spec);
  const status = '{"status":{"replicas":2,"conditions":[{"type":"Ready","status":"True"}]}}';
  await succeed(`patch wd w --subresource=status --type=merge -p ${status}`);
  assert.match(await succeed("get wd"), /^NAME +SIZE +READY\nw +3 +True\n$/);
  assert.match(await succeed("get wd -o wide"), /^NAME +SIZE +READY +COLOUR\nw +3 +True +red\n$/);
  assert.match(await succeed("get all"), /widget\.example\.com\/w/);
  await succeed("wait --for=condition=Ready --timeout=5s wd/w");
});

test("it is scaled, selected by its fields, read in pages, tried out and compared", async () => {
  await succeed("apply -f -", ["a", "b", "c"].map((name) => widget(name, "colour: green")).join(""));
  assert.equal(
    await succeed("get wd --chunk-size=2 -o name"),
    "widget.example.com/a\nwidget.example.com/b\nwidget.example.com/c\nwidget.example.com/w\n",
  );
  assert.equal(await succeed("get wd --field-selector spec.colour=red -o name"), "widget.example.com/w\n");
  assert.equal(await succeed("scale wd w --replicas=4"), "widget.example.com/w scaled\n");
  assert.equal(await succeed("get wd w -o jsonpath={.spec.replicas}"), "4");
  assert.match(await succeed("apply --dry-run=server -o yaml -f -", widget("dry", "colour: red")), /size: 3/);
  assert.match((await run("get wd dry")).errors, /widgets\.example\.com "dry" not found/);
  const { code, output } = await run("diff -f -", widget("a", "colour: red"));
  assert.equal(code, 1);
  assert.match(output, /- {2}colour: green\n\+ {2}colour: red/);
  assert.equal((await run("diff -f -", widget("a", "colour: green"))).code, 0);
});

test("deletion cascades as it is told to, and waits for finalizers", async () => {
  for (const cascade of ["background", "foreground", "orphan"]) {
    await succeed("create -f -", widget(cascade, "colour: red"));
    const uid = await succeed(`get wd ${cascade} -o jsonpath={.metadata.uid}`);
    const owner = `apiVersion: example.com/v1, kind: Widget, name: ${cascade}, uid: ${uid}, blockOwnerDeletion: true`;
    await succeed("create -f -", widget(`${cascade}-child`, "colour: red", `, ownerReferences: [{ ${owner} }]`));
    assert.match(await succeed(`delete wd ${cascade} --cascade=${cascade} --timeout=20s`), /deleted/);
  }
  await eventually(async () =>
    assert.equal(
      await succeed("get wd --field-selector spec.colour=red -o name"),
      "widget.example.com/orphan-child\nwidget.example.com/w\n",
    ),
  );
  assert.equal(await succeed("get wd orphan-child -o jsonpath={.metadata.ownerReferences}"), "");
  await succeed('patch wd w --type=merge -p {"metadata":{"finalizers":["example.com/hold"]}}');
  assert.match((await run("delete wd w --timeout=1s")).errors, /timed out waiting/);
  assert.match(await succeed("get wd w -o jsonpath={.metadata.deletionTimestamp}"), /^\d{4}-/);
  await succeed('patch wd w --type=json -p [{"op":"remove","path":"/metadata/finalizers"}]');
  await succeed("wait --for=delete wd/w --timeout=20s");
});

test("a definition that goes takes its objects with it, and can come back", async () => {
  await succeed("delete crd widgets.example.com --timeout=20s");
  assert.match((await run("get wd")).errors, /doesn't have a resource type "wd"|could not find the requested resource/);
  await succeed("apply -f -", definition);
  await eventually(async () => assert.equal(await succeed("get wd -o name"), ""));
});
