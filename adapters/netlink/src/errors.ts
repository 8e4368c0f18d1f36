import { constants } from "node:os";

/**
 * The kernel, or a check before it, refused an operation; or what came from the kernel makes no sense (EBADMSG).
 * Message: `link lxc12ab: already exists (EEXIST)`, with the kernel's own words after it where it said any.
 */
export class NetlinkError extends Error {
  override readonly name = "NetlinkError";
  /** What was tried: `link.create`, `route.list`. */
  readonly operation: string;
  /** On what: `link lxc12ab`, `route 10.0.0.0/8`. */
  readonly subject: string;
  /** Positive, as in errno.h. */
  readonly errno: number;
  /** "EEXIST", … */
  readonly code: string;
  /** The kernel's own words (NLMSGERR_ATTR_MSG), or "". */
  readonly detail: string;

  constructor(options: { operation: string; subject: string; errno: number; detail?: string; cause?: unknown }) {
    const code = codeOf(options.errno);
    const detail = options.detail ?? "";
    super(`${options.subject}: ${reasonOf(code)} (${code})${detail === "" ? "" : `: ${detail}`}`, { cause: options.cause });
    this.operation = options.operation;
    this.subject = options.subject;
    this.errno = options.errno;
    this.code = code;
    this.detail = detail;
  }

  /** What was to be deleted or changed is not there. */
  get absent(): boolean {
    return absentCodes.has(this.code);
  }
}

const absentCodes = new Set(["ENOENT", "ENODEV", "ESRCH", "EADDRNOTAVAIL"]);

const codes: ReadonlyMap<number, string> = new Map(
  Object.entries(constants.errno)
    // Two names with one number: the kernel's documents say EOPNOTSUPP and EAGAIN.
    .filter(([code]) => code !== "ENOTSUP" && code !== "EWOULDBLOCK")
    .map(([code, errno]) => [errno, code]),
);

const reasons: Readonly<Record<string, string>> = {
  EACCES: "not allowed here",
  EADDRNOTAVAIL: "does not exist on that link",
  EAGAIN: "changed again and again while it was being read",
  EBADMSG: "the kernel's answer cannot be understood",
  EBUSY: "is in use",
  EEXIST: "already exists",
  EHOSTUNREACH: "its gateway cannot be reached through that link",
  EINVAL: "is not acceptable",
  EMSGSIZE: "is too large",
  ENETDOWN: "its link is down",
  ENETUNREACH: "its gateway cannot be reached through that link",
  ENOBUFS: "the kernel's buffer was too small for the answers",
  ENODEV: "no such link in this network namespace",
  ENOENT: "does not exist",
  ENOTUNIQ: "is not unique",
  EOPNOTSUPP: "the kernel does not support it",
  EPERM: "needs CAP_NET_ADMIN in this network namespace",
  ERANGE: "is out of range",
  ESRCH: "does not exist",
  ETIMEDOUT: "the kernel did not answer",
};

export const errnoOf = {
  badMessage: constants.errno.EBADMSG,
  exists: constants.errno.EEXIST,
  invalid: constants.errno.EINVAL,
  again: constants.errno.EAGAIN,
  noDevice: constants.errno.ENODEV,
  noEntry: constants.errno.ENOENT,
  noProcess: constants.errno.ESRCH,
  busy: constants.errno.EBUSY,
  addressNotAvailable: constants.errno.EADDRNOTAVAIL,
  networkDown: constants.errno.ENETDOWN,
  networkUnreachable: constants.errno.ENETUNREACH,
  notSupported: constants.errno.EOPNOTSUPP,
  hostUnreachable: constants.errno.EHOSTUNREACH,
} as const;

function codeOf(errno: number): string {
  return codes.get(errno) ?? `errno ${errno}`;
}

function reasonOf(code: string): string {
  return reasons[code] ?? "refused by the kernel";
}

/** What the kernel sent ends early or contradicts itself. */
export function malformed(what: string): NetlinkError {
  return new NetlinkError({ operation: "decode", subject: "netlink message", errno: errnoOf.badMessage, detail: what });
}

/** What was asked for can be told to be wrong without the kernel. */
export function unacceptable(operation: string, subject: string, detail: string): NetlinkError {
  return new NetlinkError({ operation, subject, errno: errnoOf.invalid, detail });
}
