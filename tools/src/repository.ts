import { resolve } from "node:path";

/** Absolute path of the checkout that this file belongs to. */
export const repositoryRoot: string = resolve(import.meta.dirname, "../..");
