/** Whatever was thrown, as an Error. */
export function toError(cause: unknown): Error {
  return cause instanceof Error ? cause : new Error(String(cause));
}

/** The message and those of its causes, joined: one line for a log or a user. */
export function errorMessage(cause: unknown): string {
  const parts: string[] = [];
  let current: unknown = cause;
  for (let depth = 0; current !== undefined && depth < 8; depth += 1) {
    const error = toError(current);
    if (!parts.some((part) => part.includes(error.message))) parts.push(error.message);
    current = error.cause;
  }
  return parts.join(": ");
}
