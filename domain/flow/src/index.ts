export type { FlowContext, FlowEndpoint, FlowPolicy, RemotePod } from "./context.ts";
export { ContextHistory, type ContextHistoryOptions } from "./context-history.ts";
export { decodeFlow, nodeNameOf } from "./decode.ts";
export { EndpointResolver } from "./endpoint-resolver.ts";
export { EventView } from "./event.ts";
export { EventType } from "./event-layout.ts";
export { type CompiledFilters, compileFilters, type FilterOptions, type FlowFilter, type FlowPredicate } from "./filter.ts";
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
