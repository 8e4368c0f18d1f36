import { formatAddress, parseAddress } from "@cilium-ts/net";
import { type EndpointId, parseEndpointId } from "./endpoint-id.ts";

/** How callers name one end of a connection: an endpoint, or whatever has an identity. */
export type PolicyParty =
  | { readonly kind: "endpoint"; readonly id: EndpointId }
  | { readonly kind: "identity"; readonly id: number }
  /** `host`, `world`: the name of a reserved identity, or of a pod in namespace default. */
  | { readonly kind: "name"; readonly name: string }
  /** All of them; without a source, of any. */
  | { readonly kind: "labels"; readonly labels: readonly string[] }
  /** Canonical text. */
  | { readonly kind: "address"; readonly address: string };

export type ParsedPolicyParty =
  | { readonly kind: "parsed"; readonly party: PolicyParty }
  | { readonly kind: "bad"; readonly reason: string };

const identityMax = 0xffff_ffff;
const endpointPrefix = /^(?:cilium-local|cep-name|pod-name|container-id|container-name|cni-attachment-id|ipv[46]):/;
const forms =
  "an endpoint (its number, namespace/pod, or cep-name:, container-id: and so on), identity:<number>, labels (app=web,k8s:tier=front), a reserved name (world, host) or an address";

export function parsePolicyParty(text: string): ParsedPolicyParty {
  const bad = (reason: string): ParsedPolicyParty => ({ kind: "bad", reason });
  const parsed = (party: PolicyParty): ParsedPolicyParty => ({ kind: "parsed", party });
  if (text === "") return bad(`neither end may be empty: write ${forms}`);
  const identity = /^identity:([0-9]{1,10})$/.exec(text)?.[1];
  if (identity !== undefined) {
    if (Number(identity) > identityMax) return bad(`${JSON.stringify(text)}: an identity is a number up to ${identityMax}`);
    return parsed({ kind: "identity", id: Number(identity) });
  }
  if (/^[0-9]+$/.test(text) || endpointPrefix.test(text)) return endpointParty(text);
  const address = parseAddress(text);
  if (address !== undefined) return parsed({ kind: "address", address: formatAddress(address) });
  if (/[=:,]/.test(text)) {
    const labels = text.split(",").map((label) => label.trim());
    if (labels.some((label) => label === "" || label.startsWith("=")))
      return bad(`${JSON.stringify(text)} is no list of labels: write ${forms}`);
    return parsed({ kind: "labels", labels });
  }
  if (text.includes("/")) return endpointParty(`cep-name:${text}`);
  return parsed({ kind: "name", name: text });
}

function endpointParty(text: string): ParsedPolicyParty {
  const endpoint = parseEndpointId(text);
  return endpoint.kind === "bad" ? endpoint : { kind: "parsed", party: { kind: "endpoint", id: endpoint.id } };
}
