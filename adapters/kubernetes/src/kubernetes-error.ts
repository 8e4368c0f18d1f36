import { isRecord } from "@cilium-ts/std";
/**
 * The server said no, or could not be asked.
 *
 * `reason` is the server's own word (`NotFound`, `AlreadyExists`, `Conflict`, `Invalid`, `Expired`, `Forbidden`, …), or one of ours
 * with status 0: `Unreachable`, `Timeout`, `TooLarge`, `Malformed`.
 */
export class KubernetesError extends Error {
  override readonly name = "KubernetesError";
  /** Of HTTP; 0 when there was no answer that could be used. */
  readonly status: number;
  readonly reason: string;
  /** The server's details: name, group, kind, causes. */
  readonly details: Readonly<Record<string, unknown>>;
  /** How long the server asks us to stay away. */
  readonly retryAfterMs: number | undefined;

  constructor(options: {
    message: string;
    status: number;
    reason: string;
    details?: Readonly<Record<string, unknown>>;
    retryAfterMs?: number | undefined;
    cause?: unknown;
  }) {
    super(options.message, options.cause === undefined ? undefined : { cause: options.cause });
    this.status = options.status;
    this.reason = options.reason;
    this.details = options.details ?? {};
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** Does this say that what we came for has been thrown away, and that listing again is the way out? */
export function isExpired(error: unknown): boolean {
  return error instanceof KubernetesError && (error.status === 410 || error.reason === "Expired" || error.reason === "Gone");
}

const reasonsByStatus: Readonly<Record<number, string>> = {
  400: "BadRequest",
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
  405: "MethodNotAllowed",
  409: "Conflict",
  410: "Expired",
  413: "RequestEntityTooLarge",
  415: "UnsupportedMediaType",
  422: "Invalid",
  429: "TooManyRequests",
  500: "InternalError",
  503: "ServiceUnavailable",
  504: "Timeout",
};

/** From the `Status` object of an answer, or from whatever stood in its place. */
export function errorFromStatus(
  body: unknown,
  options: { request: string; httpStatus?: number; retryAfterMs?: number | undefined },
): KubernetesError {
  const { request, httpStatus = 0, retryAfterMs } = options;
  const status = isRecord(body) && body.kind === "Status" ? body : undefined;
  const code = typeof status?.code === "number" ? status.code : httpStatus;
  const text = typeof status?.message === "string" && status.message !== "" ? status.message : excerpt(body);
  return new KubernetesError({
    message: `${request}: ${text === "" ? `the server answered ${code}` : text}`,
    status: code,
    reason: typeof status?.reason === "string" && status.reason !== "" ? status.reason : (reasonsByStatus[code] ?? "Unknown"),
    details: isRecord(status?.details) ? status.details : {},
    retryAfterMs,
  });
}

/** The beginning of an answer that is no Status: a proxy's page, or plain text. */
function excerpt(body: unknown): string {
  const text = typeof body === "string" ? body : body === undefined ? "" : (JSON.stringify(body) ?? "");
  return text.replaceAll(/\s+/g, " ").trim().slice(0, 200);
}
