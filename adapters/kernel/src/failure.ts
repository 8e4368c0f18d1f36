import { constants } from "node:os";
import { getSystemErrorMap } from "node:util";
import { KernelError } from "./errors.ts";

export const errnos = constants.errno;

/** The kernel's own, which no libc knows: an operation that this kind of object does not have (include/linux/errno.h). */
export const ENOTSUPP = 524;

const codes: ReadonlyMap<number, string> = new Map(Object.entries(constants.errno).map(([code, errno]) => [errno, code]));

/** "ENOENT" and "no such file or directory"; a number that nobody knows stays a number. */
function describeErrno(errno: number): readonly [code: string, text: string] {
  if (errno === ENOTSUPP) return ["ENOTSUPP", "operation not supported by this kind of object"];
  const [code, text] = getSystemErrorMap().get(-errno) ?? [codes.get(errno) ?? `E${errno}`, `errno ${errno}`];
  return [code, text];
}

export interface FailureOptions {
  /** What was being done, to what: "map lxc: update". */
  readonly what: string;
  readonly syscall: string;
  readonly errno: number;
  /** What else is known, or what to do about it. */
  readonly detail?: string | undefined;
  /** Instead of the system call's failure, when it was not even tried: why not. */
  readonly reason?: string;
  readonly done?: number;
  readonly cause?: unknown;
}

export function createKernelError(options: FailureOptions): KernelError {
  const { what, syscall, errno, detail, done = 0, cause } = options;
  const [code, text] = describeErrno(errno);
  const reason = options.reason ?? `${syscall} failed: ${text}`;
  const message = `${what}: ${reason} (${code})${detail === undefined ? "" : `: ${detail}`}`;
  return new KernelError({ message, syscall, errno, code, done, cause });
}

/** What the addon throws. */
interface NativeFailure {
  readonly syscall: string;
  readonly errno: number;
  readonly subject?: string;
  readonly log?: string;
}

export function nativeFailure(cause: unknown): NativeFailure | undefined {
  if (!(cause instanceof Error) || !("syscall" in cause) || !("errno" in cause)) return undefined;
  const { syscall, errno } = cause;
  if (typeof syscall !== "string" || typeof errno !== "number") return undefined;
  return {
    syscall,
    errno: Math.abs(errno), // Node's own errors have it negative.
    ...("subject" in cause && typeof cause.subject === "string" ? { subject: cause.subject } : {}),
    ...("log" in cause && typeof cause.log === "string" ? { log: cause.log } : {}),
  };
}

/** The same failure with words around it. What is no failure of a system call, or has its words already, stays as it is. */
export function toKernelError(cause: unknown, what: string, detail?: string): unknown {
  if (cause instanceof KernelError) return cause;
  const failure = nativeFailure(cause);
  if (failure === undefined) return cause;
  return createKernelError({ what, syscall: failure.syscall, errno: failure.errno, detail: detail ?? failure.subject, cause });
}

/** Calls the addon or the file system; what they throw becomes a KernelError that says what was being done. */
export function attempt<T>(what: string, call: () => T): T {
  try {
    return call();
  } catch (cause) {
    throw toKernelError(cause, what);
  }
}
