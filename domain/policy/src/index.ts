export { type PolicyChange, PolicyEngine, type PolicyEngineOptions, type PolicyMode } from "./engine.ts";
export { CookieTable, cookieCountMax, formerCookieCountMax } from "./entries/cookie-table.ts";
export { VerdictLookup } from "./entries/lookup.ts";
export { type PolicySubject, subjectCountMax, subjectKey } from "./entries/subjects.ts";
export { type MatchType, matchTypes, type ResolvedPolicy, type Verdict, type VerdictEntry } from "./entries/verdict.ts";
export {
  type DirectionExplanation,
  type Explanation,
  explainPacket,
  type NearMiss,
  type Opinion,
  type PacketEnd,
  type PacketQuestion,
  type PolicyWorld,
  subjectOf,
  verdictOfBoth,
} from "./explain/explain.ts";
export { EndpointLookups, type Lookup, type NamesChange } from "./names/endpoint-lookups.ts";
export { type LearnedName, LearnedNames, type LearnedNamesOptions } from "./names/learned-names.ts";
export { canonicalName, matchesPattern, nameLabel, nameProblem } from "./names/name-pattern.ts";
export { icmpTypeByName } from "./rules/icmp-types.ts";
export {
  type HttpHeaderMatch,
  type HttpRule,
  type KafkaRule,
  type Layer7,
  type Layer7Rule,
  type NameRule,
  parserOf,
  type Redirect,
} from "./rules/layer7.ts";
export { entryOriginsMax } from "./rules/origin-lists.ts";
export { originsKey, reservedOrigins } from "./rules/origins.ts";
export {
  type CidrGroup,
  type Direction,
  type Entity,
  entities,
  type NamedPort,
  type Peer,
  type PolicyReference,
  type PolicyService,
  type PortGroup,
  type PortMatch,
  type Protocol,
  protocols,
  type Rule,
  type RuleOrigin,
  type RuleSection,
  type Tier,
  type TierSection,
} from "./rules/rule.ts";
export { isHost, selects } from "./rules/rule-subject.ts";
export { type NodeAbilities, unmetNeeds } from "./rules/unmet-needs.ts";
export type { ChosenPeers } from "./selectors/selector-cache.ts";
