import { formatLabel } from "@cilium-ts/labels";
import type { PolicyReference, RuleOrigin } from "./rule.ts";

function reserved(name: string): readonly RuleOrigin[] {
  const policy: PolicyReference = Object.freeze({ kind: "reserved", namespace: "", name, uid: "", labels: Object.freeze([]) });
  return Object.freeze([Object.freeze({ policy, path: "" })]);
}

/** What the system allows without any rule; the names are Cilium's. */
export const reservedOrigins = {
  allowAnyIngress: reserved("allow-any-ingress"),
  allowAnyEgress: reserved("allow-any-egress"),
  allowLocalhostIngress: reserved("allow-localhost-ingress"),
} as const;

const keys = new WeakMap<readonly RuleOrigin[], string>();

/** Text that is equal exactly for equal lists of origins. Remembered as long as the list lives: lists are never changed. */
export function originsKey(origins: readonly RuleOrigin[]): string {
  let key = keys.get(origins);
  if (key === undefined) {
    key = JSON.stringify(
      origins.map(({ policy, path, log }) => [
        policy.kind,
        policy.namespace,
        policy.name,
        policy.uid,
        policy.labels.map(formatLabel),
        path,
        log ?? null,
      ]),
    );
    keys.set(origins, key);
  }
  return key;
}
