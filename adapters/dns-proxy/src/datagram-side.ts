import type { Datagram, DatagramExchange, RedirectedDatagrams, ReplyDatagrams } from "@cilium-ts/kernel";
import { InFlight } from "./in-flight.ts";
import { type Question, Rcode, readAnswer, readQuestion, refusal, withId } from "./message.ts";
import type { Asker, DnsProxyOptions } from "./proxy-options.ts";
import { settledWithin } from "./settled-within.ts";

interface Pending {
  readonly asker: Asker;
  readonly question: Question;
  /** Where the answer goes; its bytes are the question's header, for a failure. */
  readonly datagram: Datagram;
  readonly replies: Family;
  readonly id: number;
  readonly sentMs: number;
}

interface Family extends Disposable {
  readonly redirected: RedirectedDatagrams;
  readonly replies: ReplyDatagrams;
  readonly outbox: Datagram[];
}

const lookForLateMs = 500;

/** Questions by UDP, and what becomes of them. */
export class DatagramSide implements Disposable {
  readonly #options: DnsProxyOptions;
  readonly #families: readonly Family[];
  readonly #exchange: DatagramExchange;
  readonly #pending: InFlight<Pending>;
  #closed = false;

  constructor(options: DnsProxyOptions) {
    const { kernel, inFlightMax, namespacePath, timeoutMs } = options;
    using undo = new DisposableStack();
    this.#options = options;
    this.#families = (["ipv4", "ipv6"] as const).map((family) => undo.use(openFamily(options, family)));
    this.#exchange = undo.use(kernel.openExchange(namespacePath === undefined ? {} : { namespacePath }));
    this.#pending = new InFlight({ countMax: inFlightMax, ofOneMax: Math.ceil(inFlightMax / 4), timeoutMs });
    undo.move();
  }

  get inFlight(): number {
    return this.#pending.size;
  }

  async serve(signal: AbortSignal): Promise<void> {
    const late = setInterval(() => this.#giveUpLate(), lookForLateMs);
    try {
      await Promise.all([...this.#families.map((family) => this.#takeQuestions(family, signal)), this.#takeAnswers(signal)]);
    } finally {
      clearInterval(late);
    }
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    for (const family of this.#families) family[Symbol.dispose]();
    this.#exchange[Symbol.dispose]();
  }

  async #takeQuestions(family: Family, signal: AbortSignal): Promise<void> {
    while (await family.redirected.wait(signal)) for (const datagram of family.redirected.receive()) this.#takeQuestion(family, datagram);
  }

  #takeQuestion(family: Family, datagram: Datagram): void {
    const { onOutcome, refusedWith } = this.#options;
    const { peer, peerPort, local, localPort, bytes } = datagram;
    const asked = { client: { address: peer, port: peerPort }, server: { address: local, port: localPort }, transport: "UDP" } as const;
    const asker = this.#options.judge(asked);
    if (asker === undefined) {
      onOutcome("stranger", "UDP");
      return;
    }
    const read = readQuestion(bytes);
    if (read.kind !== "question") {
      if (read.kind === "unanswerable") this.#reply(family, datagram, refusal(bytes, read.end, read.rcode));
      onOutcome("malformed", "UDP");
      return;
    }
    const { question } = read;
    if (!asker.allows(question.name)) {
      asker.onQuestion(question, "refused");
      this.#reply(family, datagram, refusal(bytes, question.end, refusedWith));
      onOutcome("refused", "UDP");
      return;
    }
    this.#forward({ asker, question, datagram: { ...datagram, bytes: bytes.slice(0, question.end) }, replies: family }, bytes);
  }

  #forward(given: Omit<Pending, "id" | "sentMs">, bytes: Uint8Array): void {
    const { clock, onOutcome, randomId } = this.#options;
    const { asker, datagram } = given;
    const pending = { ...given, id: randomId(), sentMs: clock.nowMs() };
    const token = this.#pending.add(asker.endpointId, pending, pending.sentMs);
    if (token === undefined) {
      this.#fail(given);
      onOutcome("overload", "UDP");
      return;
    }
    asker.onQuestion(given.question, "forwarded");
    const { mark } = asker;
    const sent = withId(bytes, pending.id);
    try {
      this.#exchange.ask({ token, server: datagram.local, port: datagram.localPort, bytes: sent, ...(mark !== undefined && { mark }) });
    } catch {
      this.#pending.take(token);
      this.#fail(given);
      onOutcome("unreachable", "UDP", 0);
    }
  }

  async #takeAnswers(signal: AbortSignal): Promise<void> {
    while (await this.#exchange.wait(signal)) {
      for (const { token, bytes, errno } of this.#exchange.receive()) {
        const pending = this.#pending.get(token);
        if (pending === undefined) continue;
        if (errno !== 0) this.#end(token, "unreachable");
        else this.#takeAnswer(token, pending, bytes);
      }
    }
  }

  #takeAnswer(token: number, { asker, question, datagram, replies, id, sentMs }: Pending, bytes: Uint8Array): void {
    const { clock, answerDelayMsMax, onLost, onOutcome } = this.#options;
    const answer = readAnswer(bytes, question, id);
    if (answer === undefined) {
      onLost("mismatched answer");
      return;
    }
    this.#pending.take(token);
    this.#exchange.end(token);
    const latencyMs = clock.nowMs() - sentMs;
    const inForce = asker.onAnswer(question, answer, latencyMs);
    const released = withId(bytes, question.id);
    if (inForce === undefined) this.#reply(replies, datagram, released);
    else void settledWithin(inForce, answerDelayMsMax).then(() => this.#reply(replies, datagram, released));
    onOutcome("answered", "UDP", latencyMs / 1_000);
  }

  /** The client hears at once that this server is no help. */
  #fail({ question, datagram, replies }: Pick<Pending, "question" | "datagram" | "replies">): void {
    this.#reply(replies, datagram, refusal(datagram.bytes, question.end, Rcode.serverFailure));
  }

  #giveUpLate(): void {
    const nowMs = this.#options.clock.nowMs();
    for (const [token, pending] of this.#pending.takeLate(nowMs)) this.#ended(token, pending, "timeout", nowMs);
  }

  #end(token: number, outcome: "unreachable"): void {
    const pending = this.#pending.take(token);
    if (pending !== undefined) this.#ended(token, pending, outcome, this.#options.clock.nowMs());
  }

  #ended(token: number, pending: Pending, outcome: "unreachable" | "timeout", nowMs: number): void {
    this.#exchange.end(token);
    this.#fail(pending);
    this.#options.onOutcome(outcome, "UDP", (nowMs - pending.sentMs) / 1_000);
  }

  /** All replies of one turn leave together. */
  #reply(family: Family, datagram: Datagram, bytes: Uint8Array): void {
    family.outbox.push({ ...datagram, bytes });
    if (family.outbox.length === 1) queueMicrotask(() => this.#flush(family));
  }

  #flush({ replies, outbox }: Family): void {
    if (this.#closed) return;
    const failed = replies.send(outbox.splice(0));
    for (let count = 0; count < failed; count += 1) this.#options.onLost("unsendable answer");
  }
}

function openFamily({ kernel, port, mark, namespacePath }: DnsProxyOptions, family: "ipv4" | "ipv6"): Family {
  using undo = new DisposableStack();
  const place = { family, ...(mark !== undefined && { mark }), ...(namespacePath !== undefined && { namespacePath }) };
  const redirected = undo.use(kernel.openRedirected({ ...place, port }));
  const replies = undo.use(kernel.openReplies(place));
  const opened = undo.move();
  return { redirected, replies, outbox: [], [Symbol.dispose]: () => opened.dispose() };
}
