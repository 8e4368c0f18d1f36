export { KernelError, UnsupportedFeature, VerifierRejection } from "./errors.ts";
export type {
  BpfLink,
  BpfMap,
  BpfProgram,
  CgroupAttachType,
  Kernel,
  LoadedObject,
  MapSpec,
  MapType,
  NetlinkFamily,
  NetlinkSocket,
  NetworkNamespace,
  ObjectSpec,
  RingBuffer,
  SocketOptions,
} from "./kernel.ts";
export { openKernel } from "./open-kernel.ts";
