import { closeSync, openSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { CertificateError } from "./tls-source.ts";

const attemptMs = 20;
/** Work under the lock takes milliseconds: who has held it so long is dead. */
const staleMs = 5_000;

/** Runs the work while no other process works in the folder: two that start at once must not make two authorities. */
export async function withFolderLock<T>(folder: string, work: () => T): Promise<T> {
  const path = join(folder, ".lock");
  for (let waitedMs = 0; !tryLock(path); waitedMs += attemptMs) {
    if (waitedMs > 2 * staleMs) throw new CertificateError(`${path} is held by another process: remove it when there is none`);
    await delay(attemptMs);
  }
  try {
    return work();
  } finally {
    rmSync(path, { force: true });
  }
}

function tryLock(path: string): boolean {
  try {
    closeSync(openSync(path, "wx", 0o600));
    return true;
  } catch (cause) {
    if (!(cause instanceof Error) || !("code" in cause) || cause.code !== "EEXIST") throw cause;
    const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (age > staleMs) rmSync(path, { force: true });
    return false;
  }
}
