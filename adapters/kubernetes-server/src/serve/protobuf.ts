import { isObject, type Mutable, type MutableJson, type Schema } from "../schema/schema.ts";
import { badRequest } from "./api-error.ts";
import { formatTime } from "./object-meta.ts";

/**
 * Objects in Kubernetes' protobuf encoding, which `kubectl create` and other clients with compiled-in types send for core kinds. Answers are
 * always JSON, which the same clients read. Only kinds with a table below are understood; field numbers are those of the Kubernetes API.
 */
const fieldNumbers: Readonly<Record<string, readonly string[]>> = table(`
ObjectMeta 1=name 2=generateName 3=namespace 4=selfLink 5=uid 6=resourceVersion 7=generation 8=creationTimestamp 9=deletionTimestamp
  10=deletionGracePeriodSeconds 11=labels 12=annotations 13=ownerReferences 14=finalizers
OwnerReference 1=kind 3=name 4=uid 5=apiVersion 6=controller 7=blockOwnerDeletion
ObjectReference 1=kind 2=namespace 3=name 4=uid 5=apiVersion 6=resourceVersion 7=fieldPath
LocalObjectReference 1=name
Namespace 1=metadata 2=spec 3=status
NamespaceSpec 1=finalizers
NamespaceStatus 1=phase
ConfigMap 1=metadata 2=data 3=binaryData 4=immutable
Secret 1=metadata 2=data 3=type 4=stringData 5=immutable
ServiceAccount 1=metadata 2=secrets 3=imagePullSecrets 4=automountServiceAccountToken
Service 1=metadata 2=spec 3=status
ServiceSpec 1=ports 2=selector 3=clusterIP 4=type 5=externalIPs 7=sessionAffinity 8=loadBalancerIP 9=loadBalancerSourceRanges 10=externalName
  11=externalTrafficPolicy 12=healthCheckNodePort 13=publishNotReadyAddresses 17=ipFamilyPolicy 18=clusterIPs 19=ipFamilies
  20=allocateLoadBalancerNodePorts 21=loadBalancerClass 22=internalTrafficPolicy 23=trafficDistribution
ServicePort 1=name 2=protocol 3=port 4=targetPort 5=nodePort 6=appProtocol
ServiceStatus 1=loadBalancer
LoadBalancerStatus 1=ingress
LoadBalancerIngress 1=ip 2=hostname 3=ipMode
Lease 1=metadata 2=spec
LeaseSpec 1=holderIdentity 2=leaseDurationSeconds 3=acquireTime 4=renewTime 5=leaseTransitions 6=strategy 7=preferredHolder
Event 1=metadata 2=involvedObject 3=reason 4=message 5=source 6=firstTimestamp 7=lastTimestamp 8=count 9=type 10=eventTime 11=series 12=action
  13=related 14=reportingComponent 15=reportingInstance
EventSource 1=component 2=host
EventSeries 1=count 2=lastObservedTime
`);

function table(text: string): Record<string, string[]> {
  const numbers: Record<string, string[]> = {};
  for (const line of text
    .trim()
    .replace(/\n {2}/g, " ")
    .split("\n")) {
    const [type = "", ...fields] = line.split(" ");
    const names: string[] = [];
    for (const field of fields) {
      const [number = "", name = ""] = field.split("=");
      names[Number(number)] = name;
    }
    numbers[type] = names;
  }
  return numbers;
}

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

function decodeMessage(schema: Schema, bytes: Buffer): Mutable {
  const type = schema.componentName?.split(".").at(-1) ?? "";
  const names = fieldNumbers[type] ?? [];
  const result: Mutable = {};
  for (const { number, value } of readFields(bytes)) {
    const name = names[number];
    const member = name === undefined ? undefined : schema.properties?.[name];
    if (name === undefined || member === undefined) continue;
    const decoded = decodeValue(member.type === "array" ? (member.items ?? {}) : member, value);
    if (decoded === undefined) continue;
    if (member.type === "array") result[name] = [...((result[name] as MutableJson[] | undefined) ?? []), decoded];
    else if (isObject(decoded) && typeof member.additionalProperties === "object")
      result[name] = { ...(result[name] as Mutable | undefined), ...decoded };
    else result[name] = decoded;
  }
  return result;
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

/** Type 1 (1: text), number 2, text 3. */
function decodeIntOrString(bytes: Buffer): MutableJson {
  let isText = false;
  let [number, text] = [0, ""];
  for (const field of readFields(bytes)) {
    if (field.number === 1) isText = field.value !== 0n;
    else if (field.number === 2) number = signedNumber(field.value);
    else if (field.number === 3) text = String(field.value);
  }
  return isText ? text : number;
}
