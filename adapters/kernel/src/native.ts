import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";
import { KernelError } from "./errors.ts";

/** A thing of the addon that is only passed back to it. */
export type Handle = { readonly native: unique symbol };

export interface MapInfo {
  readonly id: number;
  /** A number of enum bpf_map_type. */
  readonly type: number;
  readonly name: string;
  readonly keySizeBytes: number;
  readonly valueSizeBytes: number;
  readonly maxEntries: number;
  readonly flags: number;
}

export interface ObjectMapInfo extends Omit<MapInfo, "id"> {
  /** Made by libbpf for a section of variables, not declared by the program. */
  readonly internal: boolean;
}

/**
 * The addon of `native/*.c`. Functions marked "errno" return 0 or a positive errno; all others throw an
 * Error with `syscall` and `errno` (failure.ts). Nothing is checked there: sizes must be right here.
 */
export interface Native {
  openPin(path: string): number;
  pin(fd: number, path: string): void;
  /** A second descriptor of the same thing. */
  duplicate(fd: number): number;
  close(fd: number): void;
  mountBpffs(path: string): void;
  unmount(path: string): void;

  createMap(type: number, name: string, keySize: number, valueSize: number, maxEntries: number, flags: number, innerFd: number): number;
  mapInfo(fd: number): MapInfo;
  /** errno */
  lookup(fd: number, key: Uint8Array, value: Uint8Array): number;
  /** errno */
  update(fd: number, key: Uint8Array, value: Uint8Array, flags: number): number;
  /** errno */
  delete(fd: number, key: Uint8Array): number;
  /** errno */
  nextKey(fd: number, key: Uint8Array | null, next: Uint8Array): number;
  /** errno; ENOENT with the last batch. `count`: wanted, then done. */
  lookupBatch(
    fd: number,
    cursor: Uint8Array | null,
    nextCursor: Uint8Array,
    keys: Uint8Array,
    values: Uint8Array,
    count: Uint32Array,
  ): number;
  /** errno */
  updateBatch(fd: number, keys: Uint8Array, values: Uint8Array, count: Uint32Array): number;
  /** errno; ENOENT when the key after `count` is absent. */
  deleteBatch(fd: number, keys: Uint8Array, count: Uint32Array): number;

  programInfo(fd: number): { id: number; type: number; name: string; tag: string };
  testRun(
    fd: number,
    packet: Uint8Array | null,
    repeat: number,
    packetOut: Uint8Array | null,
    context: Uint8Array | null,
    contextOut: Uint8Array | null,
  ): { returnValue: number; durationNs: number; packetSizeBytes: number; contextSizeBytes: number };

  createLink(programFd: number, target: number, attachType: number, flags: number): number;
  updateLink(fd: number, programFd: number): void;
  detachLink(fd: number): void;
  linkInfo(fd: number): { id: number; type: number; programId: number; ifindex: number };

  openObject(name: string, bytes: Uint8Array): Handle;
  closeObject(object: Handle): void;
  objectMaps(object: Handle): ObjectMapInfo[];
  /** The variable's size, -1 when there is none; written only when the sizes agree. */
  setConstant(object: Handle, variable: string, bytes: Uint8Array): number;
  setMapMaxEntries(object: Handle, mapIndex: number, maxEntries: number): void;
  reuseMap(object: Handle, mapIndex: number, fd: number): void;
  loadObject(object: Handle): void;
  takeMap(object: Handle, mapIndex: number): number;
  objectPrograms(object: Handle): string[];
  takeProgram(object: Handle, name: string): number;

  openRing(fd: number, maxEntries: number): Handle;
  closeRing(ring: Handle): void;
  drainRing(ring: Handle, target: Uint8Array): { bytes: number; records: number; more: boolean };
  ringPending(ring: Handle): number;

  openPoll(fd: number, onReadable: () => void): Handle;
  armPoll(poll: Handle): void;
  disarmPoll(poll: Handle): void;
  closePoll(poll: Handle): void;

  openNetlink(namespacePath: string | null, protocol: number, groups: Uint32Array): number;
  transact(fd: number, messages: Uint8Array, acks: number): Promise<Uint8Array>;
  readNotifications(fd: number): Uint8Array;

  openSocket(
    namespacePath: string | null,
    family: number,
    type: number,
    protocol: number,
    transparent: number,
    reuseAddress: number,
    mark: number,
    address: string,
    port: number,
    backlog: number,
  ): number;
  /** path NUL value NUL, any number of times */
  writeSysctls(namespacePath: string | null, pairs: Uint8Array): void;
  namespaceCookie(namespacePath: string | null): bigint;
  createNamespace(): number;

  /** Records of datagrams are laid out in native/datagram.c, and read in datagrams.ts. */
  takeRedirected(fd: number, isIPv6: number): void;
  sendOnly(fd: number, isIPv6: number): void;
  receiveDatagrams(fd: number, target: Uint8Array): number;
  sendDatagrams(fd: number, isIPv6: number, records: Uint8Array, bytes: number): number;
  openExchange(): number;
  ask(
    exchange: number,
    token: number,
    namespacePath: string | null,
    mark: number,
    server: Uint8Array,
    port: number,
    payload: Uint8Array,
  ): number;
  receiveAnswers(exchange: number, target: Uint8Array): number;
}

/** Where `tools/src/build-addon.ts` puts it. */
export const builtAddonPath: string = fileURLToPath(new URL("../build/kernel.node", import.meta.url));

/** Reads the addon; a second call gets the same one. */
export function loadNative(path: string): Native {
  if (!existsSync(path)) {
    throw new KernelError({
      message: `the kernel addon ${path} is not built: any verb of ./dev builds it, or node tools/src/build-addon.ts alone`,
      syscall: "dlopen",
      errno: constants.errno.ENOENT,
      code: "ENOENT",
    });
  }
  return createRequire(import.meta.url)(path);
}
