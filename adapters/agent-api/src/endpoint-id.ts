import { formatAddress, parseAddress } from "@cilium-ts/net";

/** How callers name an endpoint: by a prefix and what it says, or by a number alone. */
export type EndpointId =
  | { readonly kind: "id"; readonly id: number }
  | { readonly kind: "pod"; readonly namespace: string; readonly name: string }
  | { readonly kind: "container-id"; readonly containerId: string }
  | { readonly kind: "container-name"; readonly containerName: string }
  /** The interface name is empty when the caller knows only the container. */
  | { readonly kind: "cni-attachment-id"; readonly containerId: string; readonly ifname: string }
  /** Canonical text, as formatAddress of @cilium-ts/net writes it. */
  | { readonly kind: "address"; readonly address: string };

export type ParsedEndpointId = { readonly kind: "parsed"; readonly id: EndpointId } | { readonly kind: "bad"; readonly reason: string };

const idMax = 65_535;
const forms =
  "a number, cilium-local:<number>, cep-name:<namespace>/<name>, container-id:<id>, cni-attachment-id:<container id>:<interface>, ipv4:<address> or ipv6:<address>";

/** Zero is a number here: it stands for "give it one" where an endpoint is created. */
export function parseEndpointId(text: string): ParsedEndpointId {
  const colon = text.indexOf(":");
  const prefix = colon === -1 ? "cilium-local" : text.slice(0, colon);
  const rest = text.slice(colon + 1);
  const bad = (why: string): ParsedEndpointId => ({ kind: "bad", reason: `${JSON.stringify(text)} names no endpoint: ${why}` });
  const parsed = (id: EndpointId): ParsedEndpointId => ({ kind: "parsed", id });
  if (rest === "") return bad(`write ${forms}`);
  switch (prefix) {
    case "cilium-local":
      if (!/^[0-9]{1,5}$/.test(rest) || Number(rest) > idMax)
        return bad(colon === -1 ? `write ${forms}` : `after cilium-local: stands a number up to ${idMax}`);
      return parsed({ kind: "id", id: Number(rest) });
    case "cep-name":
    case "pod-name": {
      const [namespace = "", name = "", ...more] = rest.split("/");
      if (namespace === "" || name === "" || more.length > 0) return bad(`after ${prefix}: stands <namespace>/<name>`);
      return parsed({ kind: "pod", namespace, name });
    }
    case "container-id":
      return parsed({ kind: "container-id", containerId: rest });
    case "container-name":
      return parsed({ kind: "container-name", containerName: rest });
    case "cni-attachment-id": {
      const [containerId = "", ifname = ""] = splitOnce(rest);
      return containerId === ""
        ? bad("after cni-attachment-id: stands <container id>:<interface>")
        : parsed({ kind: "cni-attachment-id", containerId, ifname });
    }
    case "ipv4":
    case "ipv6": {
      const address = parseAddress(rest);
      if (address?.length !== (prefix === "ipv4" ? 4 : 16))
        return bad(`after ${prefix}: stands an ${prefix === "ipv4" ? "IPv4" : "IPv6"} address`);
      return parsed({ kind: "address", address: formatAddress(address) });
    }
    default:
      return bad(`${prefix}: is not known; write ${forms}`);
  }
}

function splitOnce(text: string): string[] {
  const colon = text.indexOf(":");
  return colon === -1 ? [text] : [text.slice(0, colon), text.slice(colon + 1)];
}
