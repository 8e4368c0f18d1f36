import { ApiError } from "./api-error.ts";

/** How an answer is written: as it is, as a table for people, or only its metadata; as JSON or as YAML. */
export interface Representation {
  readonly form: "object" | "table" | "metadata" | "discovery";
  readonly encoding: "json" | "yaml";
  /** The media type of the answer. */
  readonly contentType: string;
}

export const asJson: Representation = { form: "object", encoding: "json", contentType: "application/json" };

const forms: Readonly<Record<string, { form: Representation["form"]; group: string; versions: readonly string[] }>> = {
  Table: { form: "table", group: "meta.k8s.io", versions: ["v1"] },
  PartialObjectMetadata: { form: "metadata", group: "meta.k8s.io", versions: ["v1"] },
  PartialObjectMetadataList: { form: "metadata", group: "meta.k8s.io", versions: ["v1"] },
  APIGroupDiscoveryList: { form: "discovery", group: "apidiscovery.k8s.io", versions: ["v2"] },
};

/** The first form of the Accept header that the server has; 406 when it has none. */
export function negotiate(accept: string | undefined): Representation {
  if (accept === undefined || accept.trim() === "") return asJson;
  for (const part of accept.split(",").slice(0, 32)) {
    const [type = "", ...parameters] = part.split(";").map((piece) => piece.trim());
    const given = Object.fromEntries(parameters.map((parameter) => parameter.split("=", 2) as [string, string]));
    const encoding = encodingOf(type.toLowerCase());
    if (encoding === undefined || given.stream !== undefined) continue;
    const as = given.as;
    if (as === undefined) return { form: "object", encoding, contentType: encoding === "yaml" ? "application/yaml" : "application/json" };
    const found = Object.hasOwn(forms, as) ? forms[as] : undefined;
    if (encoding !== "json" || found?.group !== given.g || !found?.versions.includes(given.v ?? "")) continue;
    return { form: found.form, encoding, contentType: `application/json;g=${found.group};v=${given.v};as=${as}` };
  }
  throw new ApiError(406, "NotAcceptable", "only the following media types are accepted: application/json, application/yaml");
}

function encodingOf(type: string): Representation["encoding"] | undefined {
  if (["application/json", "*/*", "application/*"].includes(type)) return "json";
  return type === "application/yaml" ? "yaml" : undefined;
}
