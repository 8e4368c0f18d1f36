import { closeSync, constants, openSync } from "node:fs";
import type { Kernel, NetlinkSocket } from "@cilium-ts/kernel";
import type { Family } from "@cilium-ts/net";
import type { Backend, Change, Watchable } from "./backend.ts";
import { errnoOf, malformed, NetlinkError } from "./errors.ts";
import { type Answer, decodeAnswers } from "./kernel-answers.ts";
import { kernelTables, watchGroups } from "./kernel-tables.ts";
import { checkReference, decodeLink, describeLink, encodeLinkQuery, type Link, type LinkReference, type NewVeth } from "./link.ts";
import { MessageWriter } from "./message-writer.ts";
import { checkOperation, createsLink, describeOperation, encodeOperation, type Operation, type Outcome, type Rows } from "./operation.ts";
import { watchChanges } from "./watch.ts";
import { messageFlag, rtm } from "./wire.ts";

/**
 * The answers to one send wait in the socket's receive buffer (212,992 bytes by default) until all of it was carried out, so a send is
 * bounded by them: an acknowledgement takes about 1.2 KiB there, the echo of a created link about 5.
 */
const roundCostMax = 96;
const creationCost = 5;
/** A table that always changes while it is being read is given up. */
const listAttemptsMax = 6;

export class KernelBackend implements Backend {
  readonly #kernel: Pick<Kernel, "openNetlink">;
  readonly #namespacePath: string | undefined;
  readonly #socket: NetlinkSocket;
  readonly #writer = new MessageWriter();
  #sequence = 0;

  constructor(kernel: Pick<Kernel, "openNetlink">, namespacePath: string | undefined) {
    this.#kernel = kernel;
    this.#namespacePath = namespacePath;
    this.#socket = this.#open([], "open", "netlink");
  }

  async batch(operations: readonly Operation[]): Promise<readonly Outcome[]> {
    const outcomes: Outcome[] = [];
    for (let start = 0; start < operations.length; ) {
      const end = endOfRound(operations, start);
      try {
        outcomes.push(...(await this.#round(operations.slice(start, end))));
      } catch (cause) {
        // Whether this round was carried out is unknown; later ones were not begun.
        for (const operation of operations.slice(start)) {
          const error = worldFailure(operation.kind, describeOperation(operation), cause);
          if (!(error instanceof NetlinkError)) throw cause;
          outcomes.push({ ok: false, error });
        }
        return outcomes;
      }
      start = end;
    }
    return outcomes;
  }

  async list<Kind extends keyof Rows>(kind: Kind, family: Family | undefined): Promise<readonly Rows[Kind][]> {
    const operation = `${kind}.list`;
    for (let attempt = 0; attempt < listAttemptsMax; attempt += 1) {
      const rows = await this.#listOnce(kind, family, operation);
      if (rows !== "interrupted") return rows;
    }
    throw new NetlinkError({
      operation,
      subject: `list of ${kind}s`,
      errno: errnoOf.again,
      detail: `given up after ${listAttemptsMax} attempts`,
    });
  }

  async findLink(link: LinkReference): Promise<Link | undefined> {
    const operation = "link.get";
    checkReference(operation, link);
    const sequence = this.#nextSequence();
    const { request, acknowledge } = messageFlag;
    this.#writer.message({ type: rtm.getLink, flags: request | acknowledge, sequence }, () => encodeLinkQuery(this.#writer, link));
    const answers = await this.#ask(operation, describeLink(link));
    const answer = answers.get(sequence);
    if (answer?.errno === undefined) throw malformed("a query was not acknowledged");
    if (answer.errno === errnoOf.noDevice) return undefined;
    if (answer.errno !== 0) throw new NetlinkError({ operation, subject: describeLink(link), errno: answer.errno, detail: answer.detail });
    const payload = answer.rows.find((row) => row.type === rtm.newLink)?.payload;
    if (payload === undefined) throw malformed("a query for a link was acknowledged without one");
    return decodeLink(payload);
  }

  watch<Kind extends Watchable>(kind: Kind, signal: AbortSignal): AsyncIterable<Change<Rows[Kind]>> {
    const socket = this.#open(watchGroups[kind], `${kind}.watch`, `watch of ${kind}s`);
    return watchChanges<Rows[Kind]>(socket, kernelTables[kind], signal);
  }

  close(): void {
    this.#socket[Symbol.dispose]();
  }

  #open(groups: readonly number[], operation: string, subject: string): NetlinkSocket {
    const namespacePath = this.#namespacePath;
    try {
      return this.#kernel.openNetlink({ family: "route", groups, ...(namespacePath === undefined ? {} : { namespacePath }) });
    } catch (cause) {
      throw worldFailure(operation, namespacePath === undefined ? subject : `${subject} in namespace ${namespacePath}`, cause);
    }
  }

  /** Operations whose answers fit the socket's buffer: one send. */
  async #round(operations: readonly Operation[]): Promise<Outcome[]> {
    const descriptors: number[] = [];
    try {
      const requests = operations.map((operation) => this.#encode(operation, descriptors));
      const acks = requests.filter((request) => typeof request === "number").length;
      const answers = acks === 0 ? new Map<number, Answer>() : await this.#send(acks);
      return operations.map((operation, index) => {
        const request = requests[index];
        return request instanceof NetlinkError ? { ok: false, error: request } : outcomeOf(operation, answers.get(request ?? 0));
      });
    } finally {
      for (const descriptor of descriptors) closeSync(descriptor);
    }
  }

  /** The sequence number that the operation's message got, or why it got none. */
  #encode(operation: Operation, descriptors: number[]): number | NetlinkError {
    try {
      checkOperation(operation);
      const peerNamespaceFd = operation.kind === "link.createVeth" ? openPeerNamespace(operation.link, descriptors) : undefined;
      const sequence = this.#nextSequence();
      encodeOperation(this.#writer, operation, sequence, peerNamespaceFd);
      return sequence;
    } catch (cause) {
      if (cause instanceof NetlinkError) return cause;
      this.#writer.take(); // Our own mistake: the round is not sent.
      throw cause;
    }
  }

  async #listOnce<Kind extends keyof Rows>(
    kind: Kind,
    family: Family | undefined,
    operation: string,
  ): Promise<Rows[Kind][] | "interrupted"> {
    const table = kernelTables[kind];
    const sequence = this.#nextSequence();
    this.#writer.message({ type: table.get, flags: messageFlag.request | messageFlag.dump, sequence }, () =>
      table.encodeQuery(this.#writer, family),
    );
    const answers = await this.#ask(operation, `list of ${kind}s`);
    const answer = answers.get(sequence);
    if (answer?.errno === undefined) throw malformed("a list has no end");
    if (answer.errno !== 0) throw new NetlinkError({ operation, subject: `list of ${kind}s`, errno: answer.errno, detail: answer.detail });
    if (answer.interrupted) return "interrupted";
    const rows: Rows[Kind][] = [];
    for (const { type, payload } of answer.rows) {
      const row = type === table.set ? table.decode(payload) : undefined;
      if (row !== undefined) rows.push(row);
    }
    return rows;
  }

  /** Sends what the writer holds. What goes wrong with the socket is thrown as it is. */
  async #send(acks: number): Promise<Map<number, Answer>> {
    const request = this.#writer.take();
    return decodeAnswers(await this.#socket.transact(request, acks));
  }

  /** Sends one question. */
  async #ask(operation: string, subject: string): Promise<Map<number, Answer>> {
    try {
      return await this.#send(1);
    } catch (cause) {
      throw worldFailure(operation, subject, cause);
    }
  }

  #nextSequence(): number {
    this.#sequence = this.#sequence >= 0xffff_ffff ? 1 : this.#sequence + 1;
    return this.#sequence;
  }
}

function outcomeOf(operation: Operation, answer: Answer | undefined): Outcome {
  if (answer?.errno === undefined) throw malformed("an operation was not acknowledged");
  if (answer.errno !== 0) {
    const { errno, detail } = answer;
    return { ok: false, error: new NetlinkError({ operation: operation.kind, subject: describeOperation(operation), errno, detail }) };
  }
  const echo = createsLink(operation) ? answer.rows.find((row) => row.type === rtm.newLink) : undefined;
  return { ok: true, link: echo === undefined ? undefined : decodeLink(echo.payload) };
}

function endOfRound(operations: readonly Operation[], start: number): number {
  let cost = 0;
  let end = start;
  for (; end < operations.length; end += 1) {
    const operation = operations[end];
    cost += operation !== undefined && createsLink(operation) ? creationCost : 1;
    if (cost > roundCostMax) break;
  }
  return end;
}

/** Not blocking, should the path be a pipe; that it is no namespace the kernel will say. */
function openPeerNamespace(link: NewVeth, descriptors: number[]): number | undefined {
  const { namespaceFd, namespacePath } = link.peer;
  if (namespaceFd !== undefined || namespacePath === undefined) return namespaceFd;
  try {
    const descriptor = openSync(namespacePath, constants.O_RDONLY | constants.O_NONBLOCK);
    descriptors.push(descriptor);
    return descriptor;
  } catch (cause) {
    throw worldFailure("link.createVeth", `${describeLink(link.name)}: network namespace ${namespacePath} of its peer`, cause);
  }
}

/** What went wrong outside netlink's own answers, in its class. */
function worldFailure(operation: string, subject: string, cause: unknown): unknown {
  if (cause instanceof NetlinkError) return cause;
  if (!(cause instanceof Error) || !("errno" in cause) || typeof cause.errno !== "number") return cause;
  return new NetlinkError({ operation, subject, errno: Math.abs(cause.errno), detail: cause.message, cause });
}
