// What the page and its backend share: nothing here needs Node.
export {
  endTermKinds,
  type FilterTerm,
  formatFilter,
  formatTerm,
  type ParsedFilter,
  parseFilter,
  type TermKind,
  type TermSide,
  termKinds,
} from "./filter/filter-term.ts";
export type {
  ChangeConflict,
  ChangedVerdict,
  ChangeReport,
  ChangeRights,
  FieldSchema,
  NamespaceSummary,
  ObjectChange,
  PolicyProblem,
  PolicySchema,
  PolicySummary,
  PolicyText,
  SourceState,
  ViewMessage,
  WhatIfAnswer,
  Who,
  Why,
} from "./messages.ts";
export { type PolicyState, policyStates, type ServicePolicy } from "./policy-state.ts";
export {
  type DecidingPolicy,
  type FlowEnd,
  isFromResponder,
  type SeenFlow,
  type SeenRequest,
  type VerdictKind,
  verdictKinds,
} from "./seen-flow.ts";
export type { Service, ServiceKind } from "./service.ts";
export type { Link, LinkCounts, LinkRequest, MapChanges } from "./service-map.ts";
export { emptyViewQuery, formatViewQuery, type ParsedViewQuery, parseViewQuery, type ViewQuery } from "./view-query.ts";
