import { formatPrefix, type Prefix, prefixContainsAddress } from "@cilium-ts/net";
import { errnoOf } from "./errors.ts";
import type { FakeNamespace } from "./fake-namespace.ts";
import { mainTable, type NewRoute, type Route, staticProtocol } from "./route.ts";
import type { NewRule, Rule } from "./rule.ts";
import type { Scope } from "./scope.ts";

/** Routes and rules of a fake namespace. Each call gives the errno of what is wrong, or undefined. */
export class FakeRouting {
  readonly #namespace: FakeNamespace;

  constructor(namespace: FakeNamespace) {
    this.#namespace = namespace;
  }

  putRoute(spec: NewRoute, replace: boolean): number | undefined {
    const here = this.#namespace;
    const refusal = this.#refusalOf(spec);
    if (refusal !== undefined) return refusal;
    const row = rowOf(spec);
    const existing = here.routes.findIndex(
      (each) => each.table === row.table && each.metric === row.metric && isSamePrefix(each.destination, row.destination),
    );
    if (existing >= 0 && !replace) return errnoOf.exists;
    if (existing >= 0) here.routes[existing] = row;
    else here.routes.push(row);
    here.tell("route", { kind: "set", row });
    return undefined;
  }

  deleteRoute(spec: NewRoute): number | undefined {
    const here = this.#namespace;
    const row = here.routes.find((route) => isDescribed(route, spec));
    if (row === undefined) return errnoOf.noProcess;
    here.routes = here.routes.filter((route) => route !== row);
    here.tell("route", { kind: "removed", row });
    return undefined;
  }

  addRule(spec: NewRule): number | undefined {
    const row = ruleOf(spec);
    if (this.#namespace.rules.some((rule) => isSameRule(rule, row))) return errnoOf.exists;
    this.#namespace.rules.push(row);
    this.#namespace.rules.sort((left, right) => left.family - right.family || left.priority - right.priority);
    return undefined;
  }

  deleteRule(spec: NewRule): number | undefined {
    const row = ruleOf(spec);
    const existing = this.#namespace.rules.findIndex((rule) => isSameRule(rule, row));
    if (existing < 0) return errnoOf.noEntry;
    this.#namespace.rules.splice(existing, 1);
    return undefined;
  }

  #refusalOf(spec: NewRoute): number | undefined {
    const here = this.#namespace;
    if (spec.source !== undefined && !here.hasAddress(spec.source)) return errnoOf.invalid;
    if ((spec.kind ?? "unicast") !== "unicast") return undefined;
    const link = spec.linkIndex === undefined ? undefined : here.links.get(spec.linkIndex);
    if (link === undefined && (spec.linkIndex !== undefined || spec.gateway === undefined)) return errnoOf.noDevice;
    if (link !== undefined && !link.up) return errnoOf.networkDown;
    const { gateway } = spec;
    if (gateway === undefined || spec.onlink === true) return undefined;
    const reachable = here.routes.some(
      (route) =>
        route.gateway === undefined &&
        route.kind === "unicast" &&
        (link === undefined || route.linkIndex === link.index) &&
        prefixContainsAddress(route.destination, gateway),
    );
    if (reachable) return undefined;
    return gateway.length === 4 ? errnoOf.networkUnreachable : errnoOf.hostUnreachable;
  }
}

function rowOf(spec: NewRoute): Route {
  const family = spec.destination.address.length === 4 ? 4 : 6;
  const kind = spec.kind ?? "unicast";
  const { gateway, source, mtu } = spec;
  return {
    family,
    destination: { address: Uint8Array.from(spec.destination.address), length: spec.destination.length },
    kind,
    gateway: gateway === undefined ? undefined : Uint8Array.from(gateway),
    linkIndex: spec.linkIndex,
    source: source === undefined ? undefined : Uint8Array.from(source),
    table: spec.table ?? mainTable,
    metric: spec.metric ?? (family === 6 ? 1024 : 0),
    protocol: spec.protocol ?? staticProtocol,
    scope: family === 6 ? "universe" : (spec.scope ?? defaultScope(kind, gateway !== undefined)),
    onlink: spec.onlink ?? false,
    mtu,
    multipath: false,
  };
}

function defaultScope(kind: string, hasGateway: boolean): Scope {
  if (kind === "local") return "host";
  return kind === "unicast" && !hasGateway ? "link" : "universe";
}

function isDescribed(route: Route, spec: NewRoute): boolean {
  return (
    isSamePrefix(route.destination, spec.destination) &&
    route.table === (spec.table ?? mainTable) &&
    (spec.metric === undefined || spec.metric === route.metric) &&
    (spec.linkIndex === undefined || spec.linkIndex === route.linkIndex) &&
    (spec.kind === undefined || spec.kind === route.kind) &&
    (spec.protocol === undefined || spec.protocol === route.protocol) &&
    (spec.gateway === undefined || (route.gateway !== undefined && Buffer.compare(spec.gateway, route.gateway) === 0))
  );
}

function isSamePrefix(left: Prefix, right: Prefix): boolean {
  return left.length === right.length && Buffer.compare(left.address, right.address) === 0;
}

function ruleOf(spec: NewRule): Rule {
  const action = spec.action ?? "table";
  return {
    family: spec.family,
    priority: spec.priority,
    from: spec.from,
    to: spec.to,
    mark: spec.mark,
    mask: spec.mark === undefined ? undefined : (spec.mask ?? 0xffff_ffff),
    inputLink: spec.inputLink,
    outputLink: spec.outputLink,
    action,
    table: action === "table" ? (spec.table ?? 0) : 0,
    protocol: spec.protocol ?? staticProtocol,
  };
}

function isSameRule(left: Rule, right: Rule): boolean {
  const text = (rule: Rule): string =>
    JSON.stringify({ ...rule, from: rule.from && formatPrefix(rule.from), to: rule.to && formatPrefix(rule.to) });
  return text(left) === text(right);
}
