/** One label: where it comes from, what it is about, what it says. The value may be empty. */
export interface Label {
  /** `k8s`, `reserved`, `cidr`, `container`, `cni`, `node`, `fqdn`, `cidrgroup`, `directory`, `unspec`; `any` only in selectors. */
  readonly source: string;
  readonly key: string;
  readonly value: string;
}

/**
 * Reads `source:key=value`. Source and value may be missing: `key` is `unspec:key=`. A colon after the equals sign belongs to the
 * value. Undefined when there is no key.
 */
export function parseLabel(text: string, defaultSource = "unspec"): Label | undefined {
  const equals = text.indexOf("=");
  const name = equals < 0 ? text : text.slice(0, equals);
  const value = equals < 0 ? "" : text.slice(equals + 1);
  const { source, key } = parseSourcedKey(name, defaultSource);
  return key === "" ? undefined : { source, key, value };
}

/** Reads `source:key`, the form of keys in selectors; without a source the default holds. */
export function parseSourcedKey(text: string, defaultSource: string): { source: string; key: string } {
  const colon = text.indexOf(":");
  if (colon <= 0) return { source: defaultSource, key: colon === 0 ? text.slice(1) : text };
  return { source: text.slice(0, colon), key: text.slice(colon + 1) };
}

/** `source:key=value`, or `source:key` where the value is empty. */
export function formatLabel(label: Label): string {
  return label.value === "" ? `${label.source}:${label.key}` : `${label.source}:${label.key}=${label.value}`;
}
