export { type Enforcement, enforcementOf } from "./explain/enforcement.ts";
export { explainConnection, type InForce } from "./explain/explain-direction.ts";
export {
  type ExplainedDirection,
  type ExplainedOpinion,
  type ExplainedParty,
  type ExplainedPolicy,
  type ExplainedProtocol,
  type ExplainedRule,
  explainedProtocols,
  type PolicyExplanation,
  type PolicyVerdict,
} from "./explain/explained.ts";
export { explanationLines, remediesOf, withRemedyAs } from "./explain/explanation-text.ts";
export type { DirectionQuestion, Party } from "./explain/policy-changes.ts";
export type { Observation, ObservedEnd, ObservedFlow } from "./flows/observed-flow.ts";
export { type Check, checks, type Finding, type LintCluster, type LintContext } from "./lint/finding.ts";
export { lintPolicies } from "./lint/lint.ts";
export { PolicySuggestions, type Suggestion, type SuggestOptions } from "./suggest/suggest.ts";
export { type ChangedFlows, WhatIf, type WhatIfOptions, type WhatIfReport } from "./what-if/what-if.ts";
