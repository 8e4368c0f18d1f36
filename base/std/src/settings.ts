import { parseArgs } from "node:util";
import { parseDuration } from "./duration.ts";

/** One setting: a flag of the command line, a key of the `cilium-config` directory, an environment variable. */
export interface Setting {
  readonly name: string;
  /** What stands for its value in the usage: `DIR`. */
  readonly value: string;
  readonly fallback: string;
  readonly says: string;
}

export interface SettingSources<Name extends string> {
  /** Who is asked for help. */
  readonly program: string;
  readonly settings: readonly (Setting & { readonly name: Name })[];
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** What files say, which are found by what flags and the environment give. */
  files(given: (name: Name) => string | undefined): SettingFiles;
  /** Of the environment's variables: `CILIUM_` when absent. */
  readonly variablePrefix?: string;
  /** Variables beside `CILIUM_NAME_OF_THE_SETTING` that are looked at after it. */
  readonly variables?: Readonly<Partial<Record<Name, string>>>;
}

export interface SettingFiles {
  readonly values: ReadonlyMap<string, string>;
  readonly problems: readonly string[];
}

export type SettingTexts<Name extends string> =
  | { readonly kind: "texts"; readonly texts: ReadonlyMap<Name, string> }
  | { readonly kind: "help" }
  | { readonly kind: "problems"; readonly problems: readonly string[] };

/** Flags first, then the environment (`CILIUM_CLUSTER_NAME`), then files, then the default. */
export function readSettingTexts<Name extends string>(sources: SettingSources<Name>): SettingTexts<Name> {
  const { settings, environment, variables = {} as SettingSources<Name>["variables"], variablePrefix = "CILIUM_" } = sources;
  const flags = parseFlags(sources);
  if (typeof flags === "string") return { kind: "problems", problems: [flags] };
  if (flags.help === true) return { kind: "help" };
  const given = (name: string): string | undefined => {
    const flag = flags[name];
    return typeof flag === "string" ? flag : environment[`${variablePrefix}${name.replaceAll("-", "_").toUpperCase()}`];
  };
  const { values, problems } = sources.files(given);
  if (problems.length > 0) return { kind: "problems", problems };
  const texts = new Map<Name, string>();
  for (const { name, fallback } of settings) {
    const variable = variables?.[name];
    texts.set(name, given(name) ?? (variable === undefined ? undefined : environment[variable]) ?? values.get(name) ?? fallback);
  }
  return { kind: "texts", texts };
}

/** One file per setting, in the directory that the setting `config-dir` names: a mounted ConfigMap. */
export function settingDirectory(
  settings: readonly Setting[],
  read: (directory: string, name: string) => string | undefined,
): (given: (name: "config-dir") => string | undefined) => SettingFiles {
  return (given) => {
    const directory = given("config-dir") ?? "";
    const values = new Map<string, string>();
    for (const { name } of directory === "" ? [] : settings) {
      const text = read(directory, name)?.trim();
      if (text !== undefined) values.set(name, text);
    }
    return { values, problems: [] };
  };
}

function parseFlags<Name extends string>(sources: SettingSources<Name>): Record<string, string | boolean | undefined> | string {
  const options = Object.fromEntries(sources.settings.map(({ name }) => [name, { type: "string" as const }]));
  try {
    return parseArgs({ args: [...sources.args], options: { ...options, help: { type: "boolean", short: "h" } }, strict: true }).values;
  } catch (cause) {
    return `${cause instanceof Error ? cause.message : String(cause)} (${sources.program} --help lists the flags)`;
  }
}

/** The lines of a usage, each flag in a column of its own. */
export function settingLines(settings: readonly Setting[], columnWidth: number): string[] {
  return settings.map(({ name, value, fallback, says }) => {
    const flag = `  --${name} ${value}`;
    return `${flag.padEnd(columnWidth)} ${says}${fallback === "" ? "" : ` (${fallback})`}`;
  });
}

/** Texts into values; each that is wrong is a problem that says what would be right. */
export class SettingsReader<Name extends string> {
  readonly problems: string[] = [];
  readonly #texts: ReadonlyMap<Name, string>;

  constructor(texts: ReadonlyMap<Name, string>) {
    this.#texts = texts;
  }

  text(name: Name): string {
    return this.#texts.get(name) ?? "";
  }

  required(name: Name): string {
    if (this.text(name) === "") this.problems.push(`--${name} must not be empty`);
    return this.text(name);
  }

  whole(name: Name, smallest: number, largest: number): number {
    const value = Number(this.text(name));
    if (/^[0-9]+$/.test(this.text(name)) && value >= smallest && value <= largest) return value;
    this.problems.push(`--${name} is a whole number from ${smallest} to ${largest}, not "${this.text(name)}"`);
    return smallest;
  }

  choice<T extends string>(name: Name, choices: readonly T[], first: T): T {
    const found = choices.find((candidate) => candidate === this.text(name));
    if (found === undefined) this.problems.push(`--${name} is one of ${choices.join(", ")}, not "${this.text(name)}"`);
    return found ?? first;
  }
  boolean(name: Name): boolean {
    const text = this.text(name);
    if (text !== "true" && text !== "false") this.problems.push(`--${name} is true or false, not "${text}"`);
    return text === "true";
  }

  /** Milliseconds, at most `largestMs`: a year when absent. */
  duration(name: Name, smallestMs: number, largestMs = 366 * 86_400_000): number {
    const value = parseDuration(this.text(name));
    if (value !== undefined && value >= smallestMs && value <= largestMs) return value;
    const least = smallestMs === 0 ? "" : ` of at least ${smallestMs} ms`;
    this.problems.push(`--${name} is a time${least}, such as 15s or 5m0s, not "${this.text(name)}"`);
    return smallestMs;
  }

  /** Undefined when it is empty: nowhere. A host that is left out means all addresses. */
  address(name: Name): { readonly host: string | undefined; readonly port: number } | undefined {
    const text = this.text(name);
    if (text === "") return undefined;
    const [, bracketed, plain = "", portText = ""] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]/\s]*)):([0-9]{1,5})$/.exec(text) ?? [];
    const host = bracketed ?? plain;
    if (portText !== "" && Number(portText) <= 65_535) return { host: host === "" ? undefined : host, port: Number(portText) };
    this.problems.push(`--${name} is an address and a port, such as 127.0.0.1:9234 or :9963, not "${text}"`);
    return undefined;
  }
}
