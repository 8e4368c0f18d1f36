import type { NetlinkError } from "./errors.ts";
import {
  checkInterfaceAddress,
  describeInterfaceAddress,
  encodeInterfaceAddress,
  type InterfaceAddress,
  type NewInterfaceAddress,
} from "./interface-address.ts";
import {
  checkLinkChange,
  checkNewLink,
  checkNewVeth,
  checkNewVxlan,
  checkReference,
  describeLink,
  encodeLinkChange,
  encodeLinkReference,
  encodeNewLink,
  encodeNewVeth,
  encodeNewVxlan,
  type Link,
  type LinkChange,
  type LinkReference,
  type NewLink,
  type NewVeth,
  type NewVxlan,
} from "./link.ts";
import type { MessageWriter } from "./message-writer.ts";
import { checkNeighbour, describeNeighbour, encodeNeighbour, type Neighbour, type NeighbourKey, type NewNeighbour } from "./neighbour.ts";
import { checkRoute, describeRoute, encodeRoute, type NewRoute, type Route } from "./route.ts";
import { checkRule, describeRule, encodeRule, type NewRule, type Rule } from "./rule.ts";
import { messageFlag, rtm } from "./wire.ts";

/** One change, as a value: the entries of `Netlink.batch`. */
export type Operation =
  | { readonly kind: "link.createVeth"; readonly link: NewVeth }
  | { readonly kind: "link.createBridge"; readonly link: NewLink }
  | { readonly kind: "link.createVxlan"; readonly link: NewVxlan }
  | { readonly kind: "link.set"; readonly link: LinkReference; readonly change: LinkChange }
  | { readonly kind: "link.delete"; readonly link: LinkReference }
  | { readonly kind: "address.add" | "address.replace" | "address.delete"; readonly address: NewInterfaceAddress }
  | { readonly kind: "route.add" | "route.replace" | "route.delete"; readonly route: NewRoute }
  | { readonly kind: "rule.add" | "rule.delete"; readonly rule: NewRule }
  | { readonly kind: "neighbour.replace"; readonly neighbour: NewNeighbour }
  | { readonly kind: "neighbour.delete"; readonly neighbour: NeighbourKey };

/** What became of one operation. `link` is what a creation made, with its index and its peer's; of a VXLAN device the kernel may not tell. */
export type Outcome = { readonly ok: true; readonly link: Link | undefined } | { readonly ok: false; readonly error: NetlinkError };

/** What can be listed, by the first word of an operation. */
export interface Rows {
  link: Link;
  address: InterfaceAddress;
  route: Route;
  rule: Rule;
  neighbour: Neighbour;
}

/** Throws the first failure of a batch, for callers to whom the whole is one thing. */
export function throwFirstFailure(outcomes: readonly Outcome[]): void {
  for (const outcome of outcomes) if (!outcome.ok) throw outcome.error;
}

export function createsLink(operation: Operation): boolean {
  return operation.kind === "link.createVeth" || operation.kind === "link.createBridge" || operation.kind === "link.createVxlan";
}

/** For messages: `link lxc12ab`, `route 10.0.0.0/8`. */
export function describeOperation(operation: Operation): string {
  switch (operation.kind) {
    case "link.createVeth":
    case "link.createBridge":
    case "link.createVxlan":
      return describeLink(operation.link.name);
    case "link.set":
    case "link.delete":
      return describeLink(operation.link);
    case "address.add":
    case "address.replace":
    case "address.delete":
      return describeInterfaceAddress(operation.address);
    case "route.add":
    case "route.replace":
    case "route.delete":
      return describeRoute(operation.route);
    case "rule.add":
    case "rule.delete":
      return describeRule(operation.rule);
    case "neighbour.replace":
    case "neighbour.delete":
      return describeNeighbour(operation.neighbour);
  }
}

/** Throws a NetlinkError (EINVAL) for what can be told to be wrong without the kernel. */
export function checkOperation(operation: Operation): void {
  switch (operation.kind) {
    case "link.createVeth":
      checkNewVeth(operation.kind, operation.link);
      break;
    case "link.createBridge":
      checkNewLink(operation.kind, operation.link);
      break;
    case "link.createVxlan":
      checkNewVxlan(operation.kind, operation.link);
      break;
    case "link.set":
      checkLinkChange(operation.kind, operation.link, operation.change);
      break;
    case "link.delete":
      checkReference(operation.kind, operation.link);
      break;
    case "address.add":
    case "address.replace":
    case "address.delete":
      checkInterfaceAddress(operation.kind, operation.address);
      break;
    case "route.add":
    case "route.replace":
    case "route.delete":
      checkRoute(operation.kind, operation.route);
      break;
    case "rule.add":
    case "rule.delete":
      checkRule(operation.kind, operation.rule);
      break;
    case "neighbour.replace":
    case "neighbour.delete":
      checkNeighbour(operation.kind, operation.neighbour);
      break;
  }
}

/** One message that asks for an acknowledgement. `peerNamespaceFd`: for a veth whose peer goes elsewhere. */
export function encodeOperation(writer: MessageWriter, operation: Operation, sequence: number, peerNamespaceFd: number | undefined): void {
  const { request, acknowledge } = messageFlag;
  const { type, flags } = requestOf(operation.kind);
  writer.message({ type, flags: request | acknowledge | flags, sequence }, () => encodeBody(writer, operation, peerNamespaceFd));
}

function requestOf(kind: Operation["kind"]): { type: number; flags: number } {
  const { create, exclusive, replace, echo } = messageFlag;
  switch (kind) {
    case "link.createVeth":
    case "link.createBridge":
    case "link.createVxlan":
      return { type: rtm.newLink, flags: create | exclusive | echo }; // The echo tells the index (Linux 6.2 or newer).
    case "link.set":
      return { type: rtm.setLink, flags: 0 };
    case "link.delete":
      return { type: rtm.deleteLink, flags: 0 };
    case "address.add":
      return { type: rtm.newAddress, flags: create | exclusive };
    case "address.replace":
      return { type: rtm.newAddress, flags: create | replace };
    case "address.delete":
      return { type: rtm.deleteAddress, flags: 0 };
    case "route.add":
      return { type: rtm.newRoute, flags: create | exclusive };
    case "route.replace":
      return { type: rtm.newRoute, flags: create | replace };
    case "route.delete":
      return { type: rtm.deleteRoute, flags: 0 };
    case "rule.add":
      return { type: rtm.newRule, flags: create | exclusive };
    case "rule.delete":
      return { type: rtm.deleteRule, flags: 0 };
    case "neighbour.replace":
      return { type: rtm.newNeighbour, flags: create | replace };
    case "neighbour.delete":
      return { type: rtm.deleteNeighbour, flags: 0 };
  }
}

function encodeBody(writer: MessageWriter, operation: Operation, peerNamespaceFd: number | undefined): void {
  switch (operation.kind) {
    case "link.createVeth":
      encodeNewVeth(writer, operation.link, peerNamespaceFd);
      break;
    case "link.createBridge":
      encodeNewLink(writer, "bridge", operation.link);
      break;
    case "link.createVxlan":
      encodeNewVxlan(writer, operation.link);
      break;
    case "link.set":
      encodeLinkChange(writer, operation.link, operation.change);
      break;
    case "link.delete":
      encodeLinkReference(writer, operation.link);
      break;
    case "address.add":
    case "address.replace":
    case "address.delete":
      encodeInterfaceAddress(writer, operation.address);
      break;
    case "route.add":
    case "route.replace":
    case "route.delete":
      encodeRoute(writer, operation.route, operation.kind === "route.delete");
      break;
    case "rule.add":
    case "rule.delete":
      encodeRule(writer, operation.rule);
      break;
    case "neighbour.replace":
    case "neighbour.delete":
      encodeNeighbour(writer, operation.neighbour);
      break;
  }
}
