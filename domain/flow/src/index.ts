export {
  type FlowContext,
  type FlowEndpoint,
  type FlowPolicy,
  type FlowReasons,
  forgottenReasons,
  noReasons,
  type RemotePod,
} from "./context/context.ts";
export { ContextHistory, type ContextHistoryOptions } from "./context/context-history.ts";
export { EndpointResolver } from "./context/endpoint-resolver.ts";
export { decodeFlow, nodeNameOf } from "./decode.ts";
export { EventView } from "./event.ts";
export { EventType } from "./event-layout.ts";
export { type CompiledFilters, compileFilters, type FilterOptions, type FlowFilter, type FlowPredicate } from "./filter/filter.ts";
export {
  type Flow,
  type FlowIP,
  type FlowTime,
  FlowType,
  IPVersion,
  type Layer4,
  LostEventSource,
  TcpFlag,
  TrafficDirection,
  TunnelProtocol,
  tracePointToEndpoint,
  Verdict,
} from "./flow.ts";
export { dropReasonText, policyMatchText, reservedIdentityNames, sourceFileName, tracePointNames, tracePointText } from "./names.ts";
export { FlowRing, type FlowRingOptions } from "./ring.ts";
export { monotonicOf, wallClockOf } from "./wall-clock.ts";
