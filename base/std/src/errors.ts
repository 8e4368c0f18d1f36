/** Whatever was thrown, as an Error. */
export function toError(cause: unknown): Error {
  return cause instanceof Error ? cause : new Error(String(cause));
}

/** The message and those of its causes, joined, for a log or a user. A cause whose first line was quoted already says nothing new. */
export function errorMessage(cause: unknown): string {
  const parts: string[] = [];
  let current: unknown = cause;
  for (let depth = 0; current !== undefined && depth < 8; depth += 1) {
    const error = toError(current);
    const [firstLine = ""] = error.message.split("\n");
    if (!parts.some((part) => part.includes(firstLine))) parts.push(error.message);
    current = error.cause;
  }
  return parts.join(": ");
}
