export { type Answer, type Question, Rcode } from "./message.ts";
export { DnsProxy } from "./proxy.ts";
export type { AskedServer, Asker, DnsProxyOptions, Outcome, Party } from "./proxy-options.ts";
