/** Something the user can put right: the message alone is shown. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}
