import { hash } from "node:crypto";
import { formatLabel } from "@cilium-ts/labels";
import type { PolicyReference, RuleOrigin } from "./rule.ts";

function reserved(name: string): readonly [RuleOrigin] {
  const policy: PolicyReference = Object.freeze({ kind: "reserved", namespace: "", name, uid: "", labels: Object.freeze([]) });
  return Object.freeze([Object.freeze({ policy, path: "" })]);
}

/** What the system allows without any rule; the names are Cilium's. */
export const reservedOrigins = {
  allowAnyIngress: reserved("allow-any-ingress"),
  allowAnyEgress: reserved("allow-any-egress"),
  allowLocalhostIngress: reserved("allow-localhost-ingress"),
} as const;

const policyKeys = new WeakMap<PolicyReference, string>();
const originKeys = new WeakMap<RuleOrigin, string>();
const originHashes = new WeakMap<RuleOrigin, readonly [number, number]>();
const listKeys = new WeakMap<readonly RuleOrigin[], string>();

/** Text that is equal exactly for equal origins. Remembered as long as the origin lives: origins and lists are never changed. */
export function originKey(origin: RuleOrigin): string {
  return remember(originKeys, origin, ({ policy, path, log }) =>
    JSON.stringify([remember(policyKeys, policy, policyKey), path, log ?? null]),
  );
}

/** 64 bits that stand for the origin: equal for equal origins, on every node and after every restart. */
export function originHash(origin: RuleOrigin): readonly [high: number, low: number] {
  let known = originHashes.get(origin);
  if (known === undefined) {
    const digest = hash("sha256", originKey(origin), "buffer");
    known = [digest.readInt32LE(0), digest.readInt32LE(4)];
    originHashes.set(origin, known);
  }
  return known;
}

/** Text that is equal exactly for equal lists of origins. */
export function originsKey(origins: readonly RuleOrigin[]): string {
  return remember(listKeys, origins, (list) => list.map(originKey).join("\n"));
}

function policyKey({ kind, namespace, name, uid, labels }: PolicyReference): string {
  return JSON.stringify([kind, namespace, name, uid, labels.map(formatLabel)]);
}

function remember<K extends object>(keys: WeakMap<K, string>, item: K, compute: (item: K) => string): string {
  let key = keys.get(item);
  if (key === undefined) {
    key = compute(item);
    keys.set(item, key);
  }
  return key;
}
