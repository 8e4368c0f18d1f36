export { KernelError, UnsupportedFeature, VerifierRejection } from "./errors.ts";
export type {
  BpfLink,
  BpfMap,
  BpfProgram,
  CgroupAttachType,
  Datagram,
  DatagramExchange,
  ExchangeAnswer,
  Kernel,
  LoadedObject,
  MapSpec,
  MapType,
  NetlinkFamily,
  NetlinkSocket,
  NetworkNamespace,
  ObjectSpec,
  RedirectedDatagrams,
  ReplyDatagrams,
  RingBuffer,
  SocketOptions,
} from "./kernel.ts";
export { openKernel } from "./open-kernel.ts";
