import { parseCiliumPodIPPool } from "@cilium-ts/kubernetes";

/** A CiliumPodIPPool to be made. */
export interface FirstPool {
  readonly name: string;
  readonly spec: Readonly<Record<string, { readonly cidrs: readonly string[]; readonly maskSize: number }>>;
}

const fields: Readonly<Record<string, readonly [family: "ipv4" | "ipv6", field: "cidrs" | "maskSize"]>> = {
  "ipv4-cidrs": ["ipv4", "cidrs"],
  "ipv4-mask-size": ["ipv4", "maskSize"],
  "ipv6-cidrs": ["ipv6", "cidrs"],
  "ipv6-mask-size": ["ipv6", "maskSize"],
};

/**
 * `default=ipv4-cidrs:10.10.0.0/16,10.20.0.0/16;ipv4-mask-size:24`, in the form of Cilium's setting. Several pools stand with a comma or a
 * space between them: a pool begins where a name and `=` do.
 */
export function parseFirstPools(text: string): { pools: FirstPool[]; problems: string[] } {
  const pools: FirstPool[] = [];
  const problems: string[] = [];
  const parts = text.trim() === "" ? [] : text.trim().split(/[,\s]+(?=[^,;:\s=]+=)/);
  for (const part of parts) {
    const [, name = "", rest = ""] = /^([^=]*)=(.*)$/s.exec(part) ?? [];
    const spec: Record<string, { cidrs: string[]; maskSize: number }> = {};
    for (const item of rest.split(";").map((each) => each.replace(/\s/g, ""))) {
      if (item === "") continue;
      const [, key = "", value = ""] = /^([a-z0-9-]+):(.*)$/.exec(item) ?? [];
      const [family, field] = fields[key] ?? [];
      if (family === undefined) {
        problems.push(`"${item}" is none of ${Object.keys(fields).join(", ")}, each with a colon and its value`);
        continue;
      }
      const entry = spec[family] ?? { cidrs: [], maskSize: Number.NaN };
      spec[family] = entry;
      if (field === "cidrs") entry.cidrs = value.split(",");
      else entry.maskSize = Number(value);
    }
    const found = parseCiliumPodIPPool({ metadata: { name }, spec }).problems;
    problems.push(...found.map(({ path, message }) => `pool "${name}": ${path} ${message}`));
    pools.push({ name, spec });
  }
  return { pools, problems };
}
