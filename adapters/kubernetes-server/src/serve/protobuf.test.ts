import assert from "node:assert/strict";
import { test } from "node:test";
import { createRandom } from "@cilium-ts/testing";
import { coreSchemas } from "../schema/core-v1.ts";
import { appsSchemas } from "../schema/workload-groups.ts";
import { ApiError } from "./api-error.ts";
import { decodeDeleteOptions, decodeProtobuf } from "./protobuf.ts";

function field(number: number, value: number | string | Buffer): Buffer {
  if (typeof value === "number") return Buffer.from([number << 3, value]);
  const content = Buffer.from(value);
  assert.ok(content.length < 128);
  return Buffer.concat([Buffer.from([(number << 3) | 2, content.length]), content]);
}
const message = (...fields: Buffer[]) => Buffer.concat(fields);
const envelope = (kind: string, raw: Buffer) =>
  message(Buffer.from("k8s\0"), field(1, message(field(1, "v1"), field(2, kind))), field(2, raw));

const service = envelope(
  "Service",
  message(
    field(
      1,
      message(
        field(1, "web"),
        field(8, message()),
        field(11, message(field(1, "app"), field(2, "web"))),
        field(11, message(field(1, "x"), field(2, "y"))),
      ),
    ),
    field(
      2,
      message(
        field(1, message(field(1, "http"), field(3, 80), field(4, message(field(1, 1), field(3, "web"))))),
        field(2, message(field(1, "app"), field(2, "web"))),
      ),
    ),
  ),
);

test("an object in protobuf becomes what its JSON would be", () => {
  assert.deepEqual(decodeProtobuf(coreSchemas.get("Service") ?? {}, service), {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "web", labels: { app: "web", x: "y" } },
    spec: { ports: [{ name: "http", port: 80, targetPort: "web" }], selector: { app: "web" } },
  });
  const options = message(field(2, message(field(1, "some-uid"))), field(4, "Orphan"), field(5, "All"));
  assert.deepEqual(decodeDeleteOptions(envelope("DeleteOptions", options)), {
    preconditions: { uid: "some-uid" },
    propagationPolicy: "Orphan",
    dryRun: ["All"],
  });
});

test("whatever the bytes are, the answer is an object or a bad request", () => {
  const random = createRandom(7);
  for (let round = 0; round < 20_000; round += 1) {
    const bytes = Buffer.from(service);
    for (let count = random.below(4); count >= 0; count -= 1) bytes[4 + random.below(bytes.length - 4)] = random.below(256);
    const cut = bytes.subarray(0, random.chance(0.3) ? random.below(bytes.length) : bytes.length);
    try {
      decodeProtobuf(coreSchemas.get(random.pick(["Service", "Event", "Secret"])) ?? {}, cut);
    } catch (error) {
      assert.ok(error instanceof ApiError && error.code === 400, `${cut.toString("hex")}: ${String(error)}`);
    }
  }
});

const deploymentSchema = appsSchemas.get("Deployment") ?? {};
const inTemplate = (...fields: Buffer[]) =>
  envelope("Deployment", field(2, message(field(1, 0), field(3, message(field(2, message(field(2, message(...fields)))))))));

test("a zero that was set counts, and quantities are texts", () => {
  const limits = message(field(1, message(field(1, "cpu"), field(2, message(field(1, "100m"))))));
  assert.deepEqual(decodeProtobuf(deploymentSchema, inTemplate(field(1, "main"), field(8, limits))).spec, {
    replicas: 0,
    template: { spec: { containers: [{ name: "main", resources: { limits: { cpu: "100m" } } }] } },
  });
});

test("a field without a number in the table is refused, and not lost", () => {
  assert.deepEqual(decodeProtobuf(deploymentSchema, inTemplate(field(10, message()))).kind, "Deployment");
  const probe = inTemplate(field(10, message(field(2, 1))));
  assert.throws(
    () => decodeProtobuf(deploymentSchema, probe),
    /field 10 of Container is not understood in protobuf; send the object as JSON/,
  );
});
