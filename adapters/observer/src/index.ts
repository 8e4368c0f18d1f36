export type { Emitter } from "./encoding/flow-encoder.ts";
export { FlowJson } from "./encoding/flow-json.ts";
export { type ResponseFields, readResponseFields } from "./encoding/response-fields.ts";
export { FieldMask } from "./filters/field-mask.ts";
export { compileJsonFilters, parseJsonFilterList } from "./filters/json-filters.ts";
export { parseFlowLine } from "./flows/flow-line.ts";
export { type FlowConsumer, type FollowFlowsOptions, followFlows } from "./flows/follow-flows.ts";
export { observationOf } from "./flows/observation.ts";
export * as flowpb from "./gen/flow/flow_pb.js";
export * as healthpb from "./gen/grpc/health/v1/health_pb.js";
export * as historypb from "./gen/history/history_pb.js";
export * as observerpb from "./gen/observer/observer_pb.js";
export * as peerpb from "./gen/peer/peer_pb.js";
export * as relaypb from "./gen/relay/relay_pb.js";
export {
  type ClientTls,
  createObserverClients,
  type HealthClient,
  type HistoryClient,
  type ObserverClient,
  type PeerClient,
  type ReflectionClient,
  unixPathOf,
} from "./grpc/client.ts";
export { GrpcCode, GrpcError, ObserverError } from "./grpc/errors.ts";
export { type CallOptions, frameMessage, GrpcConnection, type GrpcTarget, grpcHeaderBytes, hostPortOf } from "./grpc/grpc-connection.ts";
export {
  type EndedCall,
  type GrpcServer,
  type GrpcServerOptions,
  type StreamCall,
  type StreamHandler,
  startGrpcServer,
} from "./grpc/grpc-server.ts";
export { type ListenAddress, parseListenAddress, type ServerTls, type TlsContext } from "./grpc/listen.ts";
export { registerReflection } from "./grpc/reflection.ts";
export { hubbleDomain, type Peer, type PeerDirectory, peerName, tlsServerName } from "./peers.ts";
export { type HubbleOptions, type HubbleServer, serveHubble, startHubble } from "./server.ts";
