import assert from "node:assert/strict";
import { test } from "node:test";
import { readCiliumDefinitions } from "../cilium-definitions.ts";
import { kindSchemas } from "./kind-schemas.ts";

test("schemas for editing hold what people write, with its meaning and values, and nothing of the server's", () => {
  const schemas = kindSchemas(readCiliumDefinitions(), ["CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy", "NetworkPolicy"]);
  assert.deepEqual(schemas.map(({ apiVersion, kind }) => `${apiVersion} ${kind}`).sort(), [
    "cilium.io/v2 CiliumClusterwideNetworkPolicy",
    "cilium.io/v2 CiliumNetworkPolicy",
    "networking.k8s.io/v1 NetworkPolicy",
  ]);
  const fieldsOf = (kind: string) => schemas.find((schema) => schema.kind === kind)?.schema.properties ?? {};
  const { spec, metadata, status } = fieldsOf("CiliumNetworkPolicy");
  assert.equal(status, undefined);
  assert.deepEqual(Object.keys(metadata?.properties ?? {}).sort(), ["annotations", "labels", "name", "namespace"]);
  assert.ok(!Object.keys(fieldsOf("CiliumClusterwideNetworkPolicy").metadata?.properties ?? {}).includes("namespace"));
  const protocol = spec?.properties?.ingress?.items?.properties?.toPorts?.items?.properties?.ports?.items?.properties?.protocol;
  assert.ok(protocol?.enum?.includes("SCTP"));
  assert.ok(spec?.properties?.endpointSelector?.description);
  assert.ok(fieldsOf("NetworkPolicy").spec?.properties?.podSelector);
});
