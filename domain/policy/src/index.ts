export { CookieTable, cookieCountMax, formerCookieCountMax } from "./cookie-table.ts";
export { type PolicyChange, PolicyEngine, type PolicyEngineOptions, type PolicyMode } from "./engine.ts";
export {
  type DirectionExplanation,
  type Explanation,
  explainPacket,
  type NearMiss,
  type Opinion,
  type PacketEnd,
  type PacketQuestion,
  type PolicyWorld,
} from "./explain.ts";
export { icmpTypeByName } from "./icmp-types.ts";
export { entryOriginsMax } from "./origin-lists.ts";
export { originsKey, reservedOrigins } from "./origins.ts";
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
} from "./rule.ts";
export type { ChosenPeers } from "./selector-cache.ts";
export { type PolicySubject, subjectCountMax, subjectKey } from "./subjects.ts";
export { type MatchType, matchTypes, type ResolvedPolicy, type Verdict, type VerdictEntry } from "./verdict.ts";
