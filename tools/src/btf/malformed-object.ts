/** A compiled object that is not what its format promises. The message says what and where. */
export class MalformedObject extends Error {
  override readonly name = "MalformedObject";
}
