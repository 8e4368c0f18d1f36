import { isIP, isIPv4, isIPv6 } from "node:net";

/** The string formats that Kubernetes checks; others are only descriptions. */
const checks: Readonly<Record<string, (text: string) => boolean>> = {
  cidr: (text) => {
    const [, address = "", length = ""] = /^([^/]+)\/(0|[1-9][0-9]{0,2})$/.exec(text) ?? [];
    return (isIPv4(address) && Number(length) <= 32) || (isIPv6(address) && Number(length) <= 128);
  },
  ip: (text) => isIP(text) !== 0,
  ipv4: (text) => isIPv4(text),
  ipv6: (text) => isIPv6(text),
  // A regular, not nested, expression: linear in any engine.
  "date-time": (text) => /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text)),
  date: (text) => /^\d{4}-\d\d-\d\d$/.test(text),
  byte: (text) => text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text),
  uuid: (text) => /^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$/.test(text),
  uri: (text) => URL.canParse(text),
  email: (text) => /^[^@\s]+@[^@\s]+$/.test(text),
};

export function formatMatches(format: string, text: string): boolean {
  return checks[format]?.(text) ?? true;
}
