import { packetMarks } from "@cilium-ts/datapath";
import { type Family, type Prefix, parsePrefix } from "@cilium-ts/net";
import type { Netlink, NewRoute, NewRule, Rule } from "@cilium-ts/netlink";

/** What routes them: the numbers are Cilium's. */
const proxyTable = 2004;
const proxyRulePriority = 9;
const everywhere: Readonly<Record<Family, string>> = { 4: "0.0.0.0/0", 6: "::/0" };

/**
 * Packets that the datapath has given to a socket of a proxy stay on the node whomever they are addressed to: a rule by their mark, and
 * a table with one local route. Whoever has another rule for that table had it from an earlier version: it goes, once ours is there.
 */
export async function applyProxyRoutes(netlink: Netlink): Promise<void> {
  const loopback = (await netlink.links.list()).find((link) => link.loopback);
  if (loopback === undefined) throw new Error("the node has no loopback device: proxies can take no connections");
  for (const family of [4, 6] as const) {
    await netlink.routes.replace(proxyRoute(family, loopback.index));
    const rules = (await netlink.rules.list({ family })).filter(({ priority }) => priority === proxyRulePriority);
    if (!rules.some(isProxyRule)) await netlink.rules.add(proxyRule(family));
    for (const { action: _action, ...rule } of rules) if (rule.table === proxyTable && !isProxyRule(rule)) await netlink.rules.delete(rule);
  }
}

/** A node without proxies keeps nothing of theirs. */
export async function removeProxyRoutes(netlink: Netlink): Promise<void> {
  for (const { action: _action, ...rule } of await netlink.rules.list())
    if (rule.priority === proxyRulePriority && rule.table === proxyTable) await netlink.rules.delete(rule);
  for (const { destination } of await netlink.routes.list({ table: proxyTable }))
    await netlink.routes.delete({ destination, table: proxyTable });
}

function proxyRoute(family: Family, linkIndex: number): NewRoute {
  return { destination: prefixOf(everywhere[family]), kind: "local", linkIndex, table: proxyTable };
}

function proxyRule(family: Family): NewRule {
  return { family, priority: proxyRulePriority, mark: packetMarks.toProxy, mask: packetMarks.kind, table: proxyTable };
}

function isProxyRule({ mark, mask, table, from, to, inputLink, outputLink }: Omit<Rule, "action">): boolean {
  const matchesAll = [from, to, inputLink, outputLink].every((match) => match === undefined);
  return mark === packetMarks.toProxy && mask === packetMarks.kind && table === proxyTable && matchesAll;
}

function prefixOf(text: string): Prefix {
  const prefix = parsePrefix(text);
  if (prefix === undefined) throw new RangeError(`${text} is no prefix`);
  return prefix;
}
