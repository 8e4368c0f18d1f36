import { qualifiedName, type Resource } from "../resources/resource.ts";
import { type Problem, problemLine } from "../schema/problem.ts";
import type { Mutable } from "../schema/schema.ts";

type Named = Pick<Resource, "group" | "plural">;
type Kind = Pick<Resource, "group" | "plural" | "kind">;

export interface ErrorDetails {
  readonly name?: string;
  readonly group?: string;
  readonly kind?: string;
  readonly uid?: string;
  readonly causes?: readonly { readonly reason: string; readonly message: string; readonly field?: string }[];
  readonly retryAfterSeconds?: number;
}

/** An answer that is not a success: it travels as a `Status` object. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly code: number;
  readonly reason: string;
  readonly details: ErrorDetails | undefined;
  /** With which a list that cannot be continued as it was can be finished. */
  readonly continueToken: string | undefined;

  constructor(code: number, reason: string, message: string, details?: ErrorDetails, continueToken?: string) {
    super(message);
    this.code = code;
    this.reason = reason;
    this.details = details;
    this.continueToken = continueToken;
  }

  toStatus(): Mutable {
    const details = this.details === undefined ? {} : { details: this.details as unknown as Mutable };
    return {
      kind: "Status",
      apiVersion: "v1",
      metadata: this.continueToken === undefined ? {} : { continue: this.continueToken },
      status: "Failure",
      message: this.message,
      reason: this.reason,
      ...details,
      code: this.code,
    };
  }
}

function detailsOf(resource: Named, name: string): ErrorDetails {
  return { name, ...(resource.group !== "" && { group: resource.group }), kind: resource.plural };
}

export function notFound(resource: Named, name: string): ApiError {
  return new ApiError(404, "NotFound", `${qualifiedName(resource)} ${JSON.stringify(name)} not found`, detailsOf(resource, name));
}

export function noSuchPath(): ApiError {
  return new ApiError(404, "NotFound", "the server could not find the requested resource", {});
}

export function alreadyExists(resource: Named, name: string): ApiError {
  return new ApiError(409, "AlreadyExists", `${qualifiedName(resource)} ${JSON.stringify(name)} already exists`, detailsOf(resource, name));
}

export function conflict(resource: Named, name: string, why?: string): ApiError {
  const reason = why ?? "the object has been modified; please apply your changes to the latest version and try again";
  return new ApiError(
    409,
    "Conflict",
    `Operation cannot be fulfilled on ${qualifiedName(resource)} ${JSON.stringify(name)}: ${reason}`,
    detailsOf(resource, name),
  );
}

export function forbiddenObject(resource: Named, name: string, why: string, cause?: string): ApiError {
  const details = { ...detailsOf(resource, name), ...(cause !== undefined && { causes: [{ reason: cause, message: why }] }) };
  return new ApiError(403, "Forbidden", `${qualifiedName(resource)} ${JSON.stringify(name)} is forbidden: ${why}`, details);
}

export function invalidObject(resource: Kind, name: string, problems: readonly Problem[]): ApiError {
  const lines = [...new Set(problems.map(problemLine))];
  const list = lines.length === 1 ? lines[0] : `[${lines.join(", ")}]`;
  const kind = resource.group === "" ? resource.kind : `${resource.kind}.${resource.group}`;
  const causes = problems.map(({ reason, message, path }) => ({ reason, message, field: path }));
  const details = { name, ...(resource.group !== "" && { group: resource.group }), kind: resource.kind, causes };
  return new ApiError(422, "Invalid", `${kind} ${JSON.stringify(name)} is invalid: ${list}`, details);
}

export function badRequest(message: string): ApiError {
  return new ApiError(400, "BadRequest", message);
}

export function methodNotAllowed(): ApiError {
  return new ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {});
}

export function tooOld(asked: number, oldest: number): ApiError {
  return new ApiError(410, "Expired", `too old resource version: ${asked} (${oldest}); list again and watch from there`);
}

export function tooManyRequests(message: string): ApiError {
  return new ApiError(429, "TooManyRequests", message, { retryAfterSeconds: 1 });
}

export function tooLargeRevision(asked: number, current: number): ApiError {
  const causes = [{ reason: "ResourceVersionTooLarge", message: "Too large resource version" }];
  return new ApiError(504, "Timeout", `Too large resource version: ${asked}, current: ${current}`, { causes, retryAfterSeconds: 1 });
}
