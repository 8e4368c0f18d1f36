import type { Message } from "./held-messages.ts";

/** The last messages of a stream, within a number and an amount of memory. */
export class NewestMessages {
  readonly #countMax: number;
  readonly #bytesMax: number;
  #messages: Message[] = [];
  #start = 0;
  #count = 0;
  #sizeBytes = 0;
  #tooMany = 0;

  constructor(countMax: number, bytesMax: number) {
    this.#countMax = countMax;
    this.#bytesMax = bytesMax;
  }

  /** Messages that were asked for and given up, because there is not memory enough for them. */
  get tooMany(): number {
    return this.#tooMany;
  }

  add(message: Message): void {
    // A frame is a view of the piece in which it came: alone it must not keep all of that.
    this.#messages.push({ ...message, frame: Uint8Array.from(message.frame) });
    if (message.kind === 1) this.#count += 1;
    this.#sizeBytes += message.frame.length;
    while (this.#count > this.#countMax) this.#drop();
    while (this.#sizeBytes > this.#bytesMax && this.#messages.length > this.#start) {
      this.#tooMany += this.#messages[this.#start]?.kind === 1 ? 1 : 0;
      this.#drop();
    }
  }

  take(): Message[] {
    return this.#messages.slice(this.#start);
  }

  #drop(): void {
    const dropped = this.#messages[this.#start];
    this.#sizeBytes -= dropped?.frame.length ?? 0;
    if (dropped?.kind === 1) this.#count -= 1;
    this.#start += 1;
    if (this.#start < 1_024 || this.#start * 2 < this.#messages.length) return;
    this.#messages = this.#messages.slice(this.#start);
    this.#start = 0;
  }
}
