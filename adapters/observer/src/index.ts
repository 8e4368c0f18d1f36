export { createObserverClients, type HealthClient, type ObserverClient, unixPathOf } from "./client.ts";
export { ObserverError } from "./errors.ts";
export * as flowpb from "./gen/flow/flow_pb.js";
export * as healthpb from "./gen/grpc/health/v1/health_pb.js";
export * as observerpb from "./gen/observer/observer_pb.js";
export * as relaypb from "./gen/relay/relay_pb.js";
export { type HubbleOptions, type HubbleServer, serveHubble, startHubble } from "./server.ts";
