/** Something wrong with one field, in the words that Kubernetes uses. */
export interface Problem {
  readonly reason:
    | "FieldValueInvalid"
    | "FieldValueRequired"
    | "FieldValueNotSupported"
    | "FieldValueTypeInvalid"
    | "FieldValueForbidden"
    | "FieldValueTooLong"
    | "FieldValueTooMany"
    | "FieldValueDuplicate";
  /** Such as `spec.ingress[0].fromCIDR[1]`; empty for the object itself. */
  readonly path: string;
  /** The rest of the line, without the path. */
  readonly message: string;
}

export function invalid(path: string, value: unknown, reason: string): Problem {
  return { reason: "FieldValueInvalid", path, message: `Invalid value: ${shown(value)}: ${reason}` };
}

export function required(path: string, reason = ""): Problem {
  return { reason: "FieldValueRequired", path, message: reason === "" ? "Required value" : `Required value: ${reason}` };
}

export function forbidden(path: string, reason: string): Problem {
  return { reason: "FieldValueForbidden", path, message: `Forbidden: ${reason}` };
}

/** Path and message as one line. */
export function problemLine(problem: Problem): string {
  return problem.path === "" ? problem.message : `${problem.path}: ${problem.message}`;
}

/** A value as it stands in a message: JSON, cut when it is long. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "null";
  return text.length <= 256 ? text : `${text.slice(0, 256)}…`;
}
