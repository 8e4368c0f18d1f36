export { readCiliumDefinitions, readPolicyApiDefinitions } from "./cilium-definitions.ts";
export type { Problem } from "./schema/problem.ts";
export { createObjectChecker, type ObjectChecker } from "./serve/check-object.ts";
export { type FieldSchema, type KindSchema, kindSchemas } from "./serve/kind-schemas.ts";
