export type { AgentEvent } from "./agent-event.ts";
export { AgentEventRing } from "./agent-event-ring.ts";
export {
  type FlowContext,
  type FlowEndpoint,
  type FlowPolicy,
  type FlowReasons,
  type FlowService,
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
export { askEverything } from "./history/ask-everything.ts";
export { type BlockSummary, readSummary, SummaryCollector, type WrittenSummary } from "./history/block-summary.ts";
export { type ContextJournal, journalText, parseJournal } from "./history/context-journal.ts";
export { ContextRecorder } from "./history/context-recorder.ts";
export { type BlockGap, type BlockOrigin, EventBlock } from "./history/event-block.ts";
export { RecordedContext } from "./history/recorded-context.ts";
export { compileSummaryFilters, type SummaryPredicate } from "./history/summary-filter.ts";
export { type Traffic, TrafficCounter, type TrafficParty, TrafficSum, type TrafficTable } from "./history/traffic.ts";
export { encodeL7Record, type L7Party, type L7Record } from "./layer7/l7-record.ts";
export { type DnsMessage, type HttpMessage, type KafkaMessage, L7Type, type Layer7 } from "./layer7/layer7.ts";
export { dnsRcodeName } from "./layer7/layer7-summary.ts";
export { dropReasonText, policyMatchText, reservedIdentityNames, sourceFileName, tracePointNames, tracePointText } from "./names.ts";
export { FlowRing, type FlowRingOptions } from "./ring.ts";
export { icmpTypeName } from "./summary.ts";
export { monotonicOf, wallClockOf } from "./wall-clock.ts";
