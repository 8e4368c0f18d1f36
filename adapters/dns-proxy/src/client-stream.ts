import { Socket } from "node:net";
import { formatAddress } from "@cilium-ts/net";
import { Frames, framed } from "./frames.ts";
import { type Question, Rcode, readAnswer, readQuestion, refusal, withId } from "./message.ts";
import type { AskedServer, Asker, DnsProxyOptions, Outcome } from "./proxy-options.ts";
import { settledWithin } from "./settled-within.ts";

interface Pending {
  readonly asker: Asker;
  readonly question: Question;
  /** The question, for a failure. */
  readonly header: Uint8Array;
  readonly sentMs: number;
}

const pendingMax = 100;
/** Of one who does not read. */
const unreadBytesMax = 256 * 1024;

/** One client's connection, and the one to its server that is opened with the first question that passes. */
export class ClientStream {
  readonly #options: DnsProxyOptions;
  readonly #client: Socket;
  readonly #asked: AskedServer;
  readonly #family: "ipv4" | "ipv6";
  readonly #pending = new Map<number, Pending>();
  #server: Socket | undefined;
  #nextId: number;
  /** Answers that wait until what they say is in force. */
  #held = 0;
  #ended = false;

  constructor(options: DnsProxyOptions, client: Socket, asked: AskedServer, family: "ipv4" | "ipv6") {
    this.#options = options;
    this.#client = client;
    this.#asked = asked;
    this.#family = family;
    this.#nextId = options.randomId();
    const frames = new Frames();
    client.on("data", (chunk: Buffer) => {
      for (const frame of frames.push(chunk)) this.#takeQuestion(frame);
    });
    client.on("end", () => {
      this.#ended = true;
      this.#endWhenDone();
    });
    client.setTimeout(options.timeoutMs, () => this.close());
    client.once("close", () => this.#server?.destroy());
  }

  close(): void {
    this.#client.destroy();
    this.#server?.destroy();
  }

  #takeQuestion(bytes: Uint8Array): void {
    const { judge, onOutcome, refusedWith, clock } = this.#options;
    const asker = judge(this.#asked);
    if (asker === undefined) {
      onOutcome("stranger", "TCP");
      this.close();
      return;
    }
    const read = readQuestion(bytes);
    if (read.kind === "noise") {
      onOutcome("malformed", "TCP");
      this.close();
      return;
    }
    if (read.kind === "unanswerable") {
      onOutcome("malformed", "TCP");
      this.#answer(refusal(bytes, read.end, read.rcode));
      return;
    }
    const { question } = read;
    if (!asker.allows(question.name)) {
      asker.onQuestion(question, "refused");
      onOutcome("refused", "TCP");
      this.#answer(refusal(bytes, question.end, refusedWith));
      return;
    }
    const pending = { asker, question, header: Uint8Array.from(bytes.subarray(0, question.end)), sentMs: clock.nowMs() };
    if (this.#pending.size >= pendingMax) {
      onOutcome("overload", "TCP");
      this.#answer(refusal(bytes, question.end, Rcode.serverFailure));
      return;
    }
    asker.onQuestion(question, "forwarded");
    this.#forward(pending, bytes);
  }

  #forward(pending: Pending, bytes: Uint8Array): void {
    do this.#nextId = (this.#nextId + 1) & 0xffff;
    while (this.#pending.has(this.#nextId));
    const id = this.#nextId;
    this.#pending.set(id, pending);
    try {
      this.#server ??= this.#connect(pending.asker.mark);
    } catch {
      this.#giveUp("unreachable");
      return;
    }
    this.#write(this.#server, framed(withId(bytes, id)));
  }

  #connect(mark: number | undefined): Socket {
    const { kernel, namespacePath, timeoutMs } = this.#options;
    const place = { ...(mark !== undefined && { mark }), ...(namespacePath !== undefined && { namespacePath }) };
    const server = new Socket({
      fd: kernel.openSocket({ family: this.#family, type: "stream", ...place }),
      readable: true,
      writable: true,
    });
    const frames = new Frames();
    let late = false;
    server.on("error", () => {}); // What follows is "close".
    server.on("data", (chunk: Buffer) => {
      for (const frame of frames.push(chunk)) this.#takeAnswer(frame);
    });
    server.setTimeout(timeoutMs, () => {
      late = true;
      server.destroy();
    });
    server.once("close", () => {
      this.#server = undefined;
      this.#giveUp(late ? "timeout" : "unreachable");
    });
    const { address, port } = this.#asked.server;
    server.connect(port, formatAddress(address));
    return server;
  }

  #takeAnswer(bytes: Uint8Array): void {
    const { clock, answerDelayMsMax, onLost, onOutcome } = this.#options;
    const id = ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0);
    const pending = this.#pending.get(id);
    const answer = pending && readAnswer(bytes, pending.question, id);
    if (pending === undefined || answer === undefined) {
      onLost("mismatched answer");
      return;
    }
    this.#pending.delete(id);
    const latencyMs = clock.nowMs() - pending.sentMs;
    const inForce = pending.asker.onAnswer(pending.question, answer, latencyMs);
    onOutcome("answered", "TCP", latencyMs / 1_000);
    const released = withId(bytes, pending.question.id);
    if (inForce === undefined) {
      this.#answer(released);
      return;
    }
    this.#held += 1;
    void settledWithin(inForce, answerDelayMsMax).then(() => {
      this.#held -= 1;
      this.#answer(released);
    });
  }

  /** All that the server still owes. */
  #giveUp(outcome: Outcome): void {
    const { clock, onOutcome } = this.#options;
    const owed = [...this.#pending.values()];
    this.#pending.clear();
    for (const { question, header, sentMs } of owed) {
      onOutcome(outcome, "TCP", (clock.nowMs() - sentMs) / 1_000);
      this.#answer(refusal(header, question.end, Rcode.serverFailure));
    }
  }

  #answer(message: Uint8Array): void {
    this.#write(this.#client, framed(message));
    this.#endWhenDone();
  }

  #write(socket: Socket, bytes: Uint8Array): void {
    if (socket.destroyed || !socket.writable) return;
    if (socket.writableLength > unreadBytesMax) this.close();
    else socket.write(bytes);
  }

  #endWhenDone(): void {
    if (this.#ended && this.#pending.size === 0 && this.#held === 0) this.#client.end();
  }
}
