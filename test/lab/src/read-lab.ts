import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { LabRecord } from "./lab.ts";
import { labDirectory } from "./lab-directory.ts";

/** The record of a running lab; undefined when there is none, or it was half-written. */
export function readLab(name: string): LabRecord | undefined {
  try {
    return JSON.parse(readFileSync(join(labDirectory(name), "lab.json"), "utf8"));
  } catch {
    return undefined;
  }
}
