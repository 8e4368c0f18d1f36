import type { Family } from "@cilium-ts/net";
import type { Watchable } from "./backend.ts";
import { decodeInterfaceAddress, encodeInterfaceAddressQuery } from "./interface-address.ts";
import { decodeLink, encodeLinkQuery } from "./link.ts";
import type { MessageWriter } from "./message-writer.ts";
import { decodeNeighbour, encodeNeighbourQuery } from "./neighbour.ts";
import type { Rows } from "./operation.ts";
import { decodeRoute, encodeRouteQuery } from "./route.ts";
import { decodeRule, encodeRuleQuery } from "./rule.ts";
import { group, rtm } from "./wire.ts";

/** How one of the kernel's tables is asked for and read. */
export interface KernelTable<Row> {
  /** RTM_GET*, RTM_NEW* (a row, in an answer or a notification) and RTM_DEL*. */
  readonly get: number;
  readonly set: number;
  readonly removed: number;
  readonly encodeQuery: (writer: MessageWriter, family: Family | undefined) => void;
  /** Undefined for rows that are none of ours. */
  readonly decode: (payload: Uint8Array) => Row | undefined;
}

export const kernelTables: { readonly [Kind in keyof Rows]: KernelTable<Rows[Kind]> } = {
  link: {
    get: rtm.getLink,
    set: rtm.newLink,
    removed: rtm.deleteLink,
    encodeQuery: (writer) => encodeLinkQuery(writer, undefined),
    decode: decodeLink,
  },
  address: {
    get: rtm.getAddress,
    set: rtm.newAddress,
    removed: rtm.deleteAddress,
    encodeQuery: encodeInterfaceAddressQuery,
    decode: decodeInterfaceAddress,
  },
  route: { get: rtm.getRoute, set: rtm.newRoute, removed: rtm.deleteRoute, encodeQuery: encodeRouteQuery, decode: decodeRoute },
  rule: { get: rtm.getRule, set: rtm.newRule, removed: rtm.deleteRule, encodeQuery: encodeRuleQuery, decode: decodeRule },
  neighbour: {
    get: rtm.getNeighbour,
    set: rtm.newNeighbour,
    removed: rtm.deleteNeighbour,
    encodeQuery: encodeNeighbourQuery,
    decode: decodeNeighbour,
  },
};

export const watchGroups: { readonly [Kind in Watchable]: readonly number[] } = {
  link: [group.link],
  address: [group.ipv4Address, group.ipv6Address],
  route: [group.ipv4Route, group.ipv6Route],
  neighbour: [group.neighbour],
};
