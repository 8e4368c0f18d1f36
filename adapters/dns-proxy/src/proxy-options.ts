import type { Kernel } from "@cilium-ts/kernel";
import type { AddressBytes } from "@cilium-ts/net";
import type { Clock } from "@cilium-ts/std";
import type { Answer, Question } from "./message.ts";

export interface Party {
  readonly address: AddressBytes;
  readonly port: number;
}

export interface AskedServer {
  readonly client: Party;
  readonly server: Party;
  readonly transport: "UDP" | "TCP";
}

/** Somebody who may speak to a server; what is known of them. */
export interface Asker {
  /** Shares the limits of one. */
  readonly endpointId: number;
  /** Of the socket to the server. */
  readonly mark?: number;
  /** The canonical name. */
  allows(name: string): boolean;
  /** Before it is refused or forwarded. */
  onQuestion(question: Question, verdict: "forwarded" | "refused"): void;
  /** Before the answer is released, which waits for what is returned, up to a limit. */
  onAnswer(question: Question, answer: Answer, latencyMs: number): Promise<void> | undefined;
}

/** How a question ended that was forwarded or refused. */
export type Outcome =
  | "answered"
  | "refused"
  /** The server did not answer in time. */
  | "timeout"
  /** It could not be reached, or is not there. */
  | "unreachable"
  /** Too many at once: the client is told that the server failed. */
  | "overload"
  /** Its bytes are no question. */
  | "malformed"
  /** From nobody who may speak to the server: not answered. */
  | "stranger";

export interface DnsProxyOptions {
  readonly kernel: Pick<Kernel, "openRedirected" | "openReplies" | "openExchange" | "openSocket">;
  readonly clock: Clock;
  /** On both loopback addresses. */
  readonly port: number;
  /** Of all sockets that clients see. */
  readonly mark?: number;
  readonly namespacePath?: string;
  /** Of `Rcode`: what a refused question is answered with. */
  readonly refusedWith: number;
  readonly inFlightMax: number;
  /** For an answer, and for the next question of a connection. */
  readonly timeoutMs: number;
  /** How long an answer waits at most until what was learned of it is in force. */
  readonly answerDelayMsMax: number;
  /** Undefined: nobody of ours, or not known yet. */
  judge(asked: AskedServer): Asker | undefined;
  /** Seconds from the question to its end, of those that were forwarded. */
  onOutcome(outcome: Outcome, transport: "UDP" | "TCP", seconds?: number): void;
  /** Answers that had nothing to do with their question, or could not be sent. */
  onLost(what: "mismatched answer" | "unsendable answer"): void;
  /** 16 bits, as hard to guess as a port. */
  randomId(): number;
}
