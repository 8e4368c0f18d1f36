import { authenticationSchemas, authorizationSchemas } from "../schema/review-groups.ts";
import { type Given, resourceOf } from "./built-resource.ts";
import type { Resource } from "./resource.ts";

const given = (kind: string, isNamespaced = false): Given => ({ kind, plural: `${kind.toLowerCase()}s`, isNamespaced, isReview: true });

/** Questions in the form of objects: they can be created, and are not kept. */
export const reviewResources: readonly Resource[] = [
  ...["SelfSubjectReview", "TokenReview"].map((kind) => resourceOf("authentication.k8s.io", "v1", authenticationSchemas, given(kind))),
  ...["SelfSubjectAccessReview", "SelfSubjectRulesReview", "SubjectAccessReview"].map((kind) =>
    resourceOf("authorization.k8s.io", "v1", authorizationSchemas, given(kind)),
  ),
  resourceOf("authorization.k8s.io", "v1", authorizationSchemas, given("LocalSubjectAccessReview", true)),
];
