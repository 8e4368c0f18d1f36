import { isObject, type Mutable, type MutableJson, type Schema } from "../schema/schema.ts";
import { type ApiError, badRequest } from "./api-error.ts";
import { formatTime } from "./object-meta.ts";
import { fieldNumbers } from "./protobuf-fields.ts";

// Objects in Kubernetes' protobuf encoding, which `kubectl create` and other clients with compiled-in types send for built-in kinds.
// Answers are always JSON, which the same clients read. What has no number in our table is refused, never lost.

export const protobufType = "application/vnd.kubernetes.protobuf";
const magic = Buffer.from("k8s\0");

export function isProtobufKind(kind: string): boolean {
  return Object.hasOwn(fieldNumbers, kind);
}

/** The envelope's kind and the bytes of the object in it. */
export function openEnvelope(body: Buffer): { readonly apiVersion: string; readonly kind: string; readonly raw: Buffer } {
  if (!body.subarray(0, 4).equals(magic)) throw badRequest("the body is not Kubernetes protobuf: it does not begin with its mark");
  let typeMeta: Buffer = Buffer.alloc(0);
  let raw: Buffer = Buffer.alloc(0);
  for (const { number, value } of readFields(body.subarray(4))) {
    if (number === 1 && Buffer.isBuffer(value)) typeMeta = value;
    else if (number === 2 && Buffer.isBuffer(value)) raw = value;
  }
  const names = ["", ""];
  for (const { number, value } of readFields(typeMeta))
    if (Buffer.isBuffer(value) && (number === 1 || number === 2)) names[number - 1] = value.toString();
  const [apiVersion = "", kind = ""] = names;
  return { apiVersion, kind, raw };
}

/** The object of the schema's kind. Empty strings and zeros that the encoding always carries are left out. */
export function decodeProtobuf(schema: Schema, body: Buffer): Mutable {
  const { apiVersion, kind, raw } = openEnvelope(body);
  return { apiVersion, kind, ...decodeMessage(schema, raw) };
}

/** `DeleteOptions`, which travel in place of an object. */
export function decodeDeleteOptions(body: Buffer): Mutable {
  const options: Mutable = {};
  const dryRun: string[] = [];
  for (const { number, value } of readFields(openEnvelope(body).raw)) {
    if (number === 1 && typeof value === "bigint") options.gracePeriodSeconds = Number(value);
    else if (number === 3) options.orphanDependents = value !== 0n;
    else if (!Buffer.isBuffer(value)) continue;
    else if (number === 4) options.propagationPolicy = value.toString();
    else if (number === 5) dryRun.push(value.toString());
    else if (number === 2) {
      const texts = [...readFields(value)].map((field) => [field.number === 1 ? "uid" : "resourceVersion", String(field.value)]);
      options.preconditions = Object.fromEntries(texts);
    }
  }
  return dryRun.length > 0 ? { ...options, dryRun } : options;
}

interface Field {
  readonly number: number;
  readonly value: bigint | Buffer;
}

function* readFields(bytes: Buffer): Generator<Field> {
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at];
      if (byte === undefined) throw badRequest("the body is not protobuf: it ends too early");
      at += 1;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw badRequest("the body is not protobuf: a number has too many bytes");
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const number = tag >>> 3;
    const wireType = tag & 7;
    if (wireType === 0) {
      yield { number, value: varint() };
      continue;
    }
    const size = wireType === 2 ? Number(varint()) : wireType === 1 ? 8 : wireType === 5 ? 4 : -1;
    if (size < 0 || at + size > bytes.length) throw badRequest("the body is not protobuf: a field has a wrong size");
    yield { number, value: bytes.subarray(at, at + size) };
    at += size;
  }
}

function decodeMessage(schema: Schema, bytes: Buffer, type = schema.componentName?.split(".").at(-1) ?? ""): Mutable {
  const names = fieldNumbers[type] ?? [];
  const result: Mutable = {};
  for (const { number, value } of readFields(bytes)) {
    const [, inlined = "", name = "", countsZero = ""] = /^(\*?)([^?]*)(\??)$/.exec(names[number] ?? "") ?? [];
    if (inlined !== "" && Buffer.isBuffer(value)) Object.assign(result, decodeMessage(schema, value, name));
    else {
      const member = Object.hasOwn(schema.properties ?? {}, name) ? schema.properties?.[name] : undefined;
      if (member !== undefined) addMember(result, name, member, value, countsZero !== "");
      else if (value !== 0n && !isEmptyMessage(value)) throw unknownField(type, number);
    }
  }
  return result;
}

/** Messages without content travel where an empty object would stand in JSON. */
function isEmptyMessage(value: bigint | Buffer): boolean {
  return Buffer.isBuffer(value) && value.length === 0;
}

function unknownField(type: string, number: number): ApiError {
  return badRequest(`the field ${number} of ${type || "the object"} is not understood in protobuf; send the object as JSON`);
}

function addMember(result: Mutable, name: string, member: Schema, value: bigint | Buffer, countsZero: boolean): void {
  const isList = member.type === "array";
  const found = countsZero && value === 0n ? zeroOf(member) : decodeValue(isList ? (member.items ?? {}) : member, value);
  // In a list the empty value is one of its values: the core group among others.
  const decoded = found === undefined && isList && Buffer.isBuffer(value) ? "" : found;
  if (decoded === undefined) return;
  if (isList) result[name] = [...((result[name] as MutableJson[] | undefined) ?? []), decoded];
  else if (isObject(decoded) && typeof member.additionalProperties === "object")
    result[name] = { ...(result[name] as Mutable | undefined), ...decoded };
  else result[name] = decoded;
}

function zeroOf(schema: Schema): MutableJson {
  return schema.type === "boolean" ? false : 0;
}

/** Undefined: the value is the empty one of its type, which JSON leaves out. */
function decodeValue(schema: Schema, value: bigint | Buffer): MutableJson | undefined {
  if (typeof value === "bigint") {
    if (schema.type === "boolean") return value === 0n ? undefined : true;
    return value === 0n ? undefined : Number(BigInt.asIntN(64, value));
  }
  if (schema["x-kubernetes-int-or-string"] === true) return decodeIntOrString(value);
  if (schema.format === "date-time") return decodeTime(value);
  if (schema.format === "byte") return value.toString("base64");
  if (schema.type === "string") return value.length === 0 ? undefined : value.toString();
  if (typeof schema.additionalProperties === "object") return decodeEntry(schema.additionalProperties, value);
  return decodeMessage(schema, value);
}

/** The last second of the year 9999. */
const secondsMax = 253_402_300_799;

function signedNumber(value: bigint | Buffer): number {
  if (typeof value !== "bigint") throw badRequest("the body is not protobuf of its kind: bytes stand in place of a number");
  return Number(BigInt.asIntN(64, value));
}

/** One entry of a map: key 1, value 2. */
function decodeEntry(schema: Schema, bytes: Buffer): Mutable {
  let key = "";
  let entry: MutableJson = "";
  for (const { number, value } of readFields(bytes)) {
    if (number === 1) key = String(value);
    else if (number === 2) entry = decodeValue(schema, value) ?? "";
  }
  if (key === "__proto__") throw badRequest('the body has a field "__proto__", which no object may have');
  return { [key]: entry };
}

function decodeTime(bytes: Buffer): string | undefined {
  let [seconds, nanoseconds] = [0, 0];
  for (const { number, value } of readFields(bytes)) {
    if (number === 1) seconds = signedNumber(value);
    else if (number === 2) nanoseconds = signedNumber(value);
  }
  if (seconds === 0 && nanoseconds === 0) return undefined;
  if (Math.abs(seconds) > secondsMax) throw badRequest(`the body has a time of ${seconds} seconds since 1970, which no calendar has`);
  const time = formatTime(seconds * 1_000);
  return nanoseconds === 0 ? time : `${time.slice(0, -1)}.${String(Math.floor(nanoseconds / 1_000)).padStart(6, "0")}Z`;
}

/** Type 1 (1: text), number 2, text 3; a quantity is one text, 1. */
function decodeIntOrString(bytes: Buffer): MutableJson {
  let isText = false;
  let [number, text] = [0, ""];
  for (const field of readFields(bytes)) {
    if (field.number === 1 && Buffer.isBuffer(field.value)) return field.value.toString();
    if (field.number === 1) isText = field.value !== 0n;
    else if (field.number === 2) number = signedNumber(field.value);
    else if (field.number === 3) text = String(field.value);
  }
  return isText ? text : number;
}
