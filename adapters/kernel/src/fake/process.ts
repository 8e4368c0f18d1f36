import { constants } from "node:os";
import { createKernelError, errnos } from "../failure.ts";
import type { FakeMachine, FakeObject } from "./machine.ts";

export type FakeOperation =
  | "loadObject"
  | "createMap"
  | "openPinnedMap"
  | "openPinnedProgram"
  | "openPinnedLink"
  | "unpin"
  | "pin"
  | "attachTcx"
  | "attachXdp"
  | "attachCgroup"
  | "updateLink"
  | "detachLink"
  | "mountBpffs"
  | "unmount"
  | "lookup"
  | "update"
  | "delete"
  | "updateBatch"
  | "deleteBatch"
  | "dump"
  | "openRingBuffer"
  | "drain"
  | "openNetlink"
  | "transact"
  | "openSocket"
  | "writeSysctls"
  | "createNamespace"
  | "namespaceCookie";

export interface FakeFailure {
  readonly operation: FakeOperation;
  /** A name of errno.h: "ENOMEM". */
  readonly code: keyof typeof constants.errno;
  /** Calls that still succeed before it; 0 by default. */
  readonly after?: number;
  /** Of batches: entries done before the failure; 0 by default. */
  readonly done?: number;
}

/** Descriptors that are open, and failures that are to come. */
export class FakeProcess {
  readonly machine: FakeMachine;
  readonly #open = new Map<number, FakeObject>();
  readonly #failures: Array<{ failure: FakeFailure; left: number }> = [];
  #lastFd = 1000;

  constructor(machine: FakeMachine) {
    this.machine = machine;
  }

  get descriptorCount(): number {
    return this.#open.size;
  }

  open(object: FakeObject): number {
    this.#lastFd += 1;
    object.references += 1;
    this.#open.set(this.#lastFd, object);
    return this.#lastFd;
  }

  /** What a descriptor is of; throws EBADF when it is closed, or another kind. */
  at(fd: number, kind: FakeObject["kind"], what: string): FakeObject {
    const object = this.#open.get(fd);
    if (object === undefined) throw createKernelError({ what, syscall: "use", errno: errnos.EBADF, reason: "it was closed" });
    if (object.kind !== kind)
      throw createKernelError({ what, syscall: "use", errno: errnos.EINVAL, reason: `it is a BPF ${object.kind}, not a ${kind}` });
    return object;
  }

  close(fd: number): void {
    const object = this.#open.get(fd);
    if (object === undefined) return;
    this.#open.delete(fd);
    this.machine.release(object);
  }

  /** As when the process ends, however it ends. */
  exit(): void {
    for (const fd of [...this.#open.keys()]) this.close(fd);
  }

  failNext(failure: FakeFailure): void {
    this.#failures.push({ failure, left: failure.after ?? 0 });
  }

  /** The failure that this call is to meet, if any. */
  takeFailure(operation: FakeOperation): FakeFailure | undefined {
    const index = this.#failures.findIndex((entry) => entry.failure.operation === operation);
    const entry = this.#failures[index];
    if (entry === undefined) return undefined;
    if (entry.left > 0) {
      entry.left -= 1;
      return undefined;
    }
    this.#failures.splice(index, 1);
    return entry.failure;
  }

  check(operation: FakeOperation, what: string): void {
    const failure = this.takeFailure(operation);
    if (failure !== undefined) throw injected(operation, what, failure);
  }
}

export function injected(operation: FakeOperation, what: string, failure: FakeFailure): Error {
  const { code, done = 0 } = failure;
  return createKernelError({ what, syscall: operation, errno: constants.errno[code], done, detail: "injected by the test" });
}
