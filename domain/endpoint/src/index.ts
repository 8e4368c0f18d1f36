export {
  changeEndpoint,
  createEndpoint,
  type EndpointChange,
  type EndpointRow,
  type EndpointStatusChange,
  endpointLogLengthMax,
  logEndpoint,
  type NamedPort,
  type NewEndpoint,
  restoreEndpoint,
  setEndpointState,
  type Transition,
  type Workload,
} from "./endpoint.ts";
export {
  type EndpointFileProblem,
  encodeEndpointState,
  endpointFileSizeBytesMax,
  type ParsedEndpointFile,
  parseEndpointState,
} from "./endpoint-file.ts";
export { type EndpointIdAllocation, EndpointIdAllocator, endpointIdMax, hostEndpointId } from "./endpoint-id-allocator.ts";
export { EndpointIndex } from "./endpoint-index.ts";
export { type EndpointState, endpointStates, isEndpointState, mayFollow } from "./state.ts";
