/** A file of the repository, as the rules see it. */
export interface RepositoryFile {
  /** Relative to the checkout. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Undefined for what is not text. */
  readonly text: string | undefined;
}

/** Something that a reader of the repository would stumble over. */
export interface Finding {
  readonly path: string;
  readonly line: number;
  /** The rule and the way out. */
  readonly message: string;
}

/** Generated files follow their generators' rules, not ours. */
export function isGenerated(path: string): boolean {
  return /(?:^|\/)gen\//.test(path);
}

export function isTypeScript(path: string): boolean {
  return path.endsWith(".ts") || path.endsWith(".tsx");
}
