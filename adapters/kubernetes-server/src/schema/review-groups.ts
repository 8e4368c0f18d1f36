import { metaSchemas } from "./meta-v1.ts";
import { parseSchemas } from "./notation.ts";
import type { Schema } from "./schema.ts";

// Questions to the server that have the form of objects. Facts: the Kubernetes API reference.

const head = (name: string, description: string) => `
${name} ${description}
  apiVersion string
  kind string
  metadata ObjectMeta`;

export const authorizationSchemas: ReadonlyMap<string, Schema> = parseSchemas(
  `
${head("SelfSubjectAccessReview", "Whether the asking user may do something.")}
  spec! SelfSubjectAccessReviewSpec
  status SubjectAccessReviewStatus
SelfSubjectAccessReviewSpec What is to be done: one of the two.
  resourceAttributes ResourceAttributes
  nonResourceAttributes NonResourceAttributes
${head("SubjectAccessReview", "Whether a user may do something.")}
  spec! SubjectAccessReviewSpec
  status SubjectAccessReviewStatus
${head("LocalSubjectAccessReview", "Whether a user may do something in a namespace.")}
  spec! SubjectAccessReviewSpec
  status SubjectAccessReviewStatus
SubjectAccessReviewSpec Who, and what: one of the two.
  resourceAttributes ResourceAttributes
  nonResourceAttributes NonResourceAttributes
  user string
  groups string[]
  extra object
  uid string
SubjectAccessReviewStatus The answer.
  allowed bool
  denied bool
  reason string
  evaluationError string
ResourceAttributes A verb on a kind.
  namespace string
  verb string
  group string
  version string
  resource string
  subresource string
  name string
  fieldSelector object
  labelSelector object
NonResourceAttributes A verb on a path.
  path string
  verb string
${head("SelfSubjectRulesReview", "All that the asking user may do in a namespace.")}
  spec! SelfSubjectRulesReviewSpec
  status SubjectRulesReviewStatus
SelfSubjectRulesReviewSpec Where.
  namespace string
SubjectRulesReviewStatus The rules.
  resourceRules object[]
  nonResourceRules object[]
  incomplete bool
  evaluationError string
`,
  "io.k8s.api.authorization.v1",
  metaSchemas,
);

export const authenticationSchemas: ReadonlyMap<string, Schema> = parseSchemas(
  `
${head("SelfSubjectReview", "Who the asking user is.")}
  status SelfSubjectReviewStatus
SelfSubjectReviewStatus The answer.
  userInfo UserInfo
UserInfo A user.
  username string
  uid string
  groups string[]
  extra object
${head("TokenReview", "Whose token it is.")}
  spec! TokenReviewSpec
  status TokenReviewStatus
TokenReviewSpec The token.
  token string
  audiences string[]
TokenReviewStatus The answer.
  authenticated bool
  user UserInfo
  audiences string[]
  error string
`,
  "io.k8s.api.authentication.v1",
  metaSchemas,
);
