import { encodeMessage, MessageFields } from "./wire.ts";

// The part of etcd's API v3 that the store uses; field numbers are those of etcd's rpc.proto and kv.proto.

export const methods = {
  range: "/etcdserverpb.KV/Range",
  transaction: "/etcdserverpb.KV/Txn",
  compact: "/etcdserverpb.KV/Compact",
  watch: "/etcdserverpb.Watch/Watch",
} as const;

export interface KeyValue {
  readonly key: string;
  readonly modRevision: number;
  readonly value: string;
}

function keyValue(fields: MessageFields): KeyValue {
  return { key: fields.text(1), modRevision: fields.number(3), value: fields.text(5) };
}

export interface RangeRequest {
  readonly key: string;
  /** Undefined: only the key itself. */
  readonly end?: string;
  readonly limit?: number;
  /** Undefined: the newest state, agreed upon by the cluster. */
  readonly revision?: number;
  readonly countOnly?: boolean;
}

export function encodeRange({ key, end, limit, revision, countOnly }: RangeRequest): Buffer {
  return encodeMessage([1, key], [2, end], [3, limit], [4, revision], [9, countOnly]);
}

export function decodeRange(bytes: Buffer): { readonly revision: number; readonly items: readonly KeyValue[]; readonly hasMore: boolean } {
  const fields = new MessageFields(bytes);
  return { revision: fields.message(1).number(3), items: fields.messages(2).map(keyValue), hasMore: fields.number(3) !== 0 };
}

/** Writes, or deletes where the value is undefined, if the key was last written at the expected revision; 0: it is not there. */
export function encodeWrite(key: string, expected: number, value: string | undefined): Buffer {
  const modRevision = 2;
  const compare = encodeMessage([2, modRevision], [3, key], [6, expected]);
  // The value of a oneof is there even when it is zero.
  const wholeCompare = expected === 0 ? Buffer.concat([compare, Buffer.from([6 * 8, 0])]) : compare;
  const change =
    value === undefined ? encodeMessage([3, encodeMessage([1, key])]) : encodeMessage([2, encodeMessage([1, key], [2, value])]);
  const look = encodeMessage([1, encodeMessage([1, key], [8, true])]);
  return encodeMessage([1, wholeCompare], [2, change], [3, look]);
}

/** `found`: the revision of what is there instead, 0 for nothing. */
export function decodeWrite(bytes: Buffer): { readonly revision: number; readonly isWritten: boolean; readonly found: number } {
  const fields = new MessageFields(bytes);
  const [looked] = fields.messages(3);
  const [item] = looked?.message(1).messages(2) ?? [];
  return { revision: fields.message(1).number(3), isWritten: fields.number(2) !== 0, found: item?.number(3) ?? 0 };
}

export function encodeCompact(revision: number): Buffer {
  return encodeMessage([1, revision]);
}

/** Everything that happens to any key from the revision on, with what was there before. */
export function encodeWatch(startRevision: number): Buffer {
  const everything = Buffer.from([0]);
  return encodeMessage([1, encodeMessage([1, everything], [2, everything], [3, startRevision], [6, true])]);
}

export interface WatchEvent {
  readonly isDeletion: boolean;
  readonly item: KeyValue;
  readonly previous: KeyValue | undefined;
}

export interface WatchMessage {
  readonly isCanceled: boolean;
  /** Not 0: the history before it is gone. */
  readonly compactRevision: number;
  readonly reason: string;
  readonly events: readonly WatchEvent[];
}

export function decodeWatch(bytes: Buffer): WatchMessage {
  const fields = new MessageFields(bytes);
  const events = fields.messages(11).map((event) => ({
    isDeletion: event.number(1) === 1,
    item: keyValue(event.message(2)),
    previous: event.bytes(3) === undefined ? undefined : keyValue(event.message(3)),
  }));
  return { isCanceled: fields.number(4) !== 0, compactRevision: fields.number(5), reason: fields.text(6), events };
}
