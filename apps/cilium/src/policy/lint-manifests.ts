import { type ManifestObject, type Manifests, type ParsedObject, type Place, parsePolicyObject } from "@cilium-ts/kubernetes";
import type { ObjectChecker } from "@cilium-ts/kubernetes-server/check";
import { namespaceLabelKey } from "@cilium-ts/labels";
import type { CidrGroup, Rule } from "@cilium-ts/policy";
import { type Check, type LintContext, lintPolicies } from "@cilium-ts/policy-advice";

export interface FileFinding extends Place {
  readonly file: string;
  readonly severity: "error" | "warning";
  readonly check: Check | "yaml" | "schema" | "invalid" | "written-twice" | "namespace-ignored" | "direction-ignored" | "not-checked";
  /** `CiliumNetworkPolicy/shop/web`; empty where no object was read. */
  readonly object: string;
  /** Of the field; empty where it is not about one. */
  readonly path: string;
  readonly message: string;
}

export interface LintWorld {
  readonly check: ObjectChecker;
  readonly clusterName: string;
  /** Those of the cluster, by `policyKey`. A file's policy stands in the place of one of the same name. */
  readonly policies: ReadonlyMap<string, readonly Rule[]>;
  readonly context: Omit<LintContext, "rules">;
}

interface ReadObject {
  readonly file: string;
  readonly manifest: ManifestObject;
  readonly key: string;
  readonly parsed: ParsedObject;
}

/** All that is to be said of the files together, in the order in which it stands in them. */
export function lintManifests(files: readonly { readonly path: string; readonly manifests: Manifests }[], world: LintWorld): FileFinding[] {
  const objects = files.flatMap(({ path, manifests }) => manifests.objects.map((manifest) => readObject(path, manifest, world)));
  const findings = files.flatMap(({ path: file, manifests }) =>
    manifests.problems.map((problem): FileFinding => ({ file, severity: "error", check: "yaml", object: "", path: "", ...problem })),
  );
  findings.push(...objects.flatMap((object) => [...rejections(object, world), ...rawFindings(object)]), ...writtenTwice(objects));
  findings.push(...ruleFindings(objects, world));
  const order = new Map(files.map(({ path }, index) => [path, index]));
  return findings.sort((a, b) => (order.get(a.file) ?? 0) - (order.get(b.file) ?? 0) || a.line - b.line || a.column - b.column);
}

function readObject(file: string, manifest: ManifestObject, { clusterName }: LintWorld): ReadObject {
  const parsed = parsePolicyObject(manifest, clusterName);
  const { kind, metadata } = (manifest.object ?? {}) as { kind?: unknown; metadata?: { namespace?: string; name?: string } };
  const { namespace, name } = metadata ?? {};
  const key = "key" in parsed ? parsed.key : [kind, namespace, name].filter((part) => typeof part === "string" && part !== "").join("/");
  return { file, manifest, key, parsed };
}

type Told = Pick<FileFinding, "severity" | "check" | "path" | "message">;

function finding({ file, manifest, key }: ReadObject, told: Told): FileFinding {
  return { file, ...manifest.placeOf(told.path), object: key, ...told };
}

/** What the server says by the schema, and what it says beyond it: of one field only once. */
function rejections(object: ReadObject, { check }: LintWorld): FileFinding[] {
  const problems = check(object.manifest.object);
  if (problems === undefined) {
    const message = `${object.key === "" ? "an object without a kind" : object.key} is of no kind that is known here, and is not checked`;
    return [finding(object, { severity: "warning", check: "not-checked", path: "", message })];
  }
  const told = problems.map(({ path, message }) => finding(object, { severity: "error", check: "schema", path, message }));
  const paths = new Set(problems.map(({ path }) => path));
  const beyond = object.parsed.problems.filter(({ path }) => !paths.has(path));
  return [...told, ...beyond.map(({ path, message }) => finding(object, { severity: "error", check: "invalid", path, message }))];
}

/** What reading puts right, or leaves aside, without a word. */
function rawFindings(object: ReadObject): FileFinding[] {
  const { kind, metadata, spec, specs } = (object.manifest.object ?? {}) as {
    readonly kind?: unknown;
    readonly metadata?: { readonly namespace?: string };
    readonly spec?: RawSpec;
    readonly specs?: readonly RawSpec[];
  };
  if (kind === "NetworkPolicy") return ignoredDirections(object, spec);
  if (kind !== "CiliumNetworkPolicy") return [];
  const namespace = metadata?.namespace || "default";
  const key = `k8s:${namespaceLabelKey}`;
  const places: [path: string, spec: RawSpec | undefined][] = [
    ["spec", spec],
    ...(Array.isArray(specs) ? specs : []).map((one, index): [string, RawSpec] => [`specs[${index}]`, one]),
  ];
  return places.flatMap(([path, one]) => {
    const given = one?.endpointSelector?.matchLabels?.[key];
    if (typeof given !== "string" || given === namespace) return [];
    const message = `a CiliumNetworkPolicy is about its own namespace, ${namespace}, whatever this label says`;
    return [
      finding(object, { severity: "warning", check: "namespace-ignored", path: `${path}.endpointSelector.matchLabels.${key}`, message }),
    ];
  });
}

interface RawSpec {
  readonly endpointSelector?: { readonly matchLabels?: Readonly<Record<string, unknown>> };
  readonly policyTypes?: unknown;
  readonly ingress?: unknown;
  readonly egress?: unknown;
}

function ignoredDirections(object: ReadObject, spec: RawSpec | undefined): FileFinding[] {
  const types = spec?.policyTypes;
  if (!Array.isArray(types) || types.length === 0) return [];
  return (["Ingress", "Egress"] as const).flatMap((type) => {
    const direction = type === "Ingress" ? "ingress" : "egress";
    const rules = spec?.[direction];
    if (!Array.isArray(rules) || rules.length === 0 || types.includes(type)) return [];
    const message = `says nothing, for policyTypes leaves ${type} out`;
    return [finding(object, { severity: "warning", check: "direction-ignored", path: `spec.${direction}`, message })];
  });
}

/** Of two objects with one name the later takes the place of the earlier. */
function writtenTwice(objects: readonly ReadObject[]): FileFinding[] {
  const first = new Map<string, ReadObject>();
  return objects.flatMap((object) => {
    const earlier = first.get(object.key);
    if (earlier === undefined || object.key === "") {
      first.set(object.key, object);
      return [];
    }
    const { line } = earlier.manifest.placeOf("");
    const message = `takes the place of the ${object.key} at ${earlier.file}:${line}`;
    return [finding(object, { severity: "warning", check: "written-twice", path: "metadata.name", message })];
  });
}

function ruleFindings(objects: readonly ReadObject[], { policies, context }: LintWorld): FileFinding[] {
  const inFiles = new Map<string, readonly Rule[]>();
  const groups: CidrGroup[] = [];
  for (const { parsed } of objects) {
    if ("rules" in parsed) inFiles.set(parsed.key, parsed.rules);
    else if ("group" in parsed && parsed.group !== undefined) groups.push(parsed.group);
  }
  const { cluster } = context;
  const known = cluster === undefined ? {} : { cluster: { ...cluster, cidrGroups: [...cluster.cidrGroups, ...groups] } };
  const others = [...policies].filter(([key]) => !inFiles.has(key)).flatMap(([, rules]) => rules);
  return objects.flatMap((object) => {
    if (!("rules" in object.parsed)) return [];
    const { key, rules } = object.parsed;
    const rest = [...inFiles].filter(([other]) => other !== key).flatMap(([, own]) => own);
    return lintPolicies(rules, { ...context, ...known, rules: [...rest, ...others] }).map(({ check, path, message }) =>
      finding(object, { severity: "warning", check, path, message }),
    );
  });
}
