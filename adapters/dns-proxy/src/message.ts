import { formatAddress } from "@cilium-ts/net";
import { typeName } from "./record-type.ts";
import { MalformedMessage, NameReader } from "./wire-name.ts";

/** RFC 1035 and those that came after. */
export const Rcode = { noError: 0, formatError: 1, serverFailure: 2, nameError: 3, notImplemented: 4, refused: 5 } as const;

const headerBytes = 12;
const classInternet = 1;
const type = { a: 1, cname: 5, aaaa: 28, incremental: 251, transfer: 252 } as const;
/** Of an answer, looked at; more than the addresses that a name may have. */
const recordCountMax = 1_200;
const aliasCountMax = 32;

/** What somebody asks a name server. */
export interface Question {
  readonly id: number;
  /** Canonical: lower case, no dot at the end; empty for the root. */
  readonly name: string;
  /** `A`, `AAAA`, `TYPE999`. */
  readonly type: string;
  readonly isInternet: boolean;
  /** Behind the question, in bytes of the message. */
  readonly end: number;
}

export type ReadQuestion =
  | { readonly kind: "question"; readonly question: Question }
  /** It is answered with the code, and nobody is asked. */
  | { readonly kind: "unanswerable"; readonly rcode: number; readonly end: number }
  /** Not even a question: nothing is answered. */
  | { readonly kind: "noise" };

/** What a server has answered to a question. */
export interface Answer {
  readonly rcode: number;
  readonly truncated: boolean;
  /** Of the name asked, also where it is only another name for who has them. */
  readonly addresses: readonly string[];
  /** The names that the name asked stands for, in order, with the dot at the end. */
  readonly aliases: readonly string[];
  /** The shortest of what `addresses` rests on; 0 when there is none. */
  readonly ttlS: number;
  /** Types of all records of the answer, each once. */
  readonly recordTypes: readonly string[];
}

export function readQuestion(bytes: Uint8Array): ReadQuestion {
  if (bytes.length < headerBytes) return { kind: "noise" };
  const view = viewOf(bytes);
  const flags = view.getUint16(2);
  if ((flags & 0x8000) !== 0) return { kind: "noise" };
  const opcode = (flags >> 11) & 0xf;
  if (opcode !== 0) return { kind: "unanswerable", rcode: Rcode.notImplemented, end: headerBytes };
  if (view.getUint16(4) !== 1) return { kind: "unanswerable", rcode: Rcode.formatError, end: headerBytes };
  try {
    const { text: name, end } = new NameReader(bytes).read(headerBytes);
    if (end + 4 > bytes.length) throw new MalformedMessage("the question is cut off");
    const number = view.getUint16(end);
    // A transfer is answered in many messages, and is nothing that a pod asks.
    if (number === type.transfer || number === type.incremental) return { kind: "unanswerable", rcode: Rcode.notImplemented, end: end + 4 };
    const isInternet = view.getUint16(end + 2) === classInternet;
    return { kind: "question", question: { id: view.getUint16(0), name, type: typeName(number), isInternet, end: end + 4 } };
  } catch (cause) {
    if (cause instanceof MalformedMessage) return { kind: "unanswerable", rcode: Rcode.formatError, end: headerBytes };
    throw cause;
  }
}

/** The same bytes with another id: whatever else they say stays as it is. */
export function withId(bytes: Uint8Array, id: number): Uint8Array {
  const copy = Buffer.allocUnsafe(bytes.length); // Of a pool, where it is small.
  copy.set(bytes);
  copy[0] = id >> 8;
  copy[1] = id & 0xff;
  return copy;
}

/** An answer of our own. `end`: of what is repeated of the query, its header or its question. */
export function refusal(query: Uint8Array, end: number, rcode: number): Uint8Array {
  const answer = Uint8Array.from(query.subarray(0, end));
  const view = viewOf(answer);
  const recursion = view.getUint16(2) & 0x0100;
  const opcode = view.getUint16(2) & 0x7800;
  view.setUint16(2, 0x8000 | opcode | recursion | (recursion === 0 ? 0 : 0x80) | rcode);
  view.setUint16(4, end > headerBytes ? 1 : 0);
  for (const count of [6, 8, 10]) view.setUint16(count, 0);
  return answer;
}

/**
 * Undefined: no answer to this question, which was sent with this id. Where only the records cannot be read, nothing is learned from
 * them: `addresses` is empty.
 */
export function readAnswer(bytes: Uint8Array, asked: Question, id: number): Answer | undefined {
  if (bytes.length < headerBytes) return undefined;
  const view = viewOf(bytes);
  const flags = view.getUint16(2);
  if ((flags & 0xf800) !== 0x8000 || view.getUint16(0) !== id) return undefined;
  const rcode = flags & 0xf;
  const names = new NameReader(bytes);
  const questionCount = view.getUint16(4);
  // A server that did not understand us repeats nothing.
  if (questionCount === 0 && rcode !== Rcode.noError && view.getUint16(6) === 0) return emptyAnswer(rcode, false);
  const truncated = (flags & 0x0200) !== 0;
  try {
    const { text, end } = names.read(headerBytes);
    if (questionCount !== 1 || text !== asked.name || end + 4 > bytes.length) return undefined;
    if (typeName(view.getUint16(end)) !== asked.type) return undefined;
    return readRecords(new Records(view, names, end + 4), asked, rcode, truncated);
  } catch (cause) {
    if (cause instanceof MalformedMessage) return undefined;
    throw cause;
  }
}

interface AnswerRecord {
  readonly type: number;
  readonly owner: string;
  readonly ttlS: number;
  /** An address or a name. */
  readonly value: string;
}

class Records {
  readonly list: AnswerRecord[] = [];
  readonly types = new Set<number>();
  broken = false;
  readonly #view: DataView;
  readonly #names: NameReader;

  constructor(view: DataView, names: NameReader, start: number) {
    this.#view = view;
    this.#names = names;
    const count = Math.min(view.getUint16(6), recordCountMax);
    let at = start;
    try {
      for (let index = 0; index < count; index += 1) at = this.#read(at);
    } catch (cause) {
      if (!(cause instanceof MalformedMessage)) throw cause;
      this.broken = true;
    }
  }

  /** Returns where the next one begins. */
  #read(start: number): number {
    const view = this.#view;
    const owner = this.#names.read(start);
    const at = owner.end;
    if (at + 10 > view.byteLength) throw new MalformedMessage("a record is cut off");
    const kind = view.getUint16(at);
    const length = view.getUint16(at + 8);
    const end = at + 10 + length;
    if (end > view.byteLength) throw new MalformedMessage("a record is cut off");
    this.types.add(kind);
    const value = view.getUint16(at + 2) === classInternet ? this.#value(kind, at + 10, length) : undefined;
    // A time to live is of 31 bits; what is more is none.
    const ttlS = view.getUint32(at + 4);
    if (value !== undefined) this.list.push({ type: kind, owner: owner.text, ttlS: ttlS > 0x7fff_ffff ? 0 : ttlS, value });
    return end;
  }

  #value(kind: number, start: number, length: number): string | undefined {
    if (kind === type.cname) return this.#names.read(start).text;
    if (kind !== type.a && kind !== type.aaaa) return undefined;
    if (length !== (kind === type.a ? 4 : 16)) throw new MalformedMessage("an address has another length");
    return formatAddress(new Uint8Array(this.#view.buffer, this.#view.byteOffset + start, length));
  }
}

function readRecords({ list, types, broken }: Records, asked: Question, rcode: number, truncated: boolean): Answer {
  const recordTypes = [...types].map(typeName);
  if (broken || !asked.isInternet) return { ...emptyAnswer(rcode, truncated), recordTypes };
  const names = new Set([asked.name]);
  const aliases = new Map<string, AnswerRecord>();
  for (const record of list) if (record.type === type.cname && !aliases.has(record.owner)) aliases.set(record.owner, record);
  const times: number[] = [];
  for (let alias = aliases.get(asked.name); alias !== undefined && names.size <= aliasCountMax; alias = aliases.get(alias.value)) {
    if (names.has(alias.value)) break;
    names.add(alias.value);
    times.push(alias.ttlS);
  }
  const own = list.filter((record) => record.type !== type.cname && names.has(record.owner));
  const addresses = [...new Set(own.map(({ value }) => value))];
  const ttlS = Math.min(...times, ...own.map((record) => record.ttlS));
  const told = [...names].slice(1).map((name) => `${name}.`);
  return { rcode, truncated, addresses, aliases: told, ttlS: Number.isFinite(ttlS) ? ttlS : 0, recordTypes };
}

function emptyAnswer(rcode: number, truncated: boolean): Answer {
  return { rcode, truncated, addresses: [], aliases: [], ttlS: 0, recordTypes: [] };
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
