import { parseArgs } from "node:util";

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
  /** One file per setting, in the directory that the setting `config-dir` names. */
  readConfigFile(directory: string, name: string): string | undefined;
  /** Variables beside `CILIUM_NAME_OF_THE_SETTING` that are looked at after it. */
  readonly variables?: Readonly<Partial<Record<Name, string>>>;
}

export type SettingTexts<Name extends string> =
  | { readonly kind: "texts"; readonly texts: ReadonlyMap<Name, string> }
  | { readonly kind: "help" }
  | { readonly kind: "problem"; readonly problem: string };

/** Flags first, then the environment (`CILIUM_CLUSTER_NAME`), then the files of the configuration directory, then the default. */
export function readSettingTexts<Name extends string>(sources: SettingSources<Name>): SettingTexts<Name> {
  const { settings, environment, variables = {} as SettingSources<Name>["variables"] } = sources;
  const flags = parseFlags(sources);
  if (typeof flags === "string") return { kind: "problem", problem: flags };
  if (flags.help === true) return { kind: "help" };
  const given = (name: string): string | undefined => {
    const flag = flags[name];
    return typeof flag === "string" ? flag : environment[`CILIUM_${name.replaceAll("-", "_").toUpperCase()}`];
  };
  const directory = given("config-dir") ?? "";
  const texts = new Map<Name, string>();
  for (const { name, fallback } of settings) {
    const variable = variables?.[name];
    const fromFile = directory === "" ? undefined : sources.readConfigFile(directory, name)?.trim();
    texts.set(name, given(name) ?? (variable === undefined ? undefined : environment[variable]) ?? fromFile ?? fallback);
  }
  return { kind: "texts", texts };
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
}
