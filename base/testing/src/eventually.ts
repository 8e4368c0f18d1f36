import { setTimeout as delay } from "node:timers/promises";

/** Polls until the check returns (anything) without throwing; after the deadline its last failure is thrown. */
export async function eventually<T>(check: () => T | Promise<T>, options: { deadlineMs?: number; intervalMs?: number } = {}): Promise<T> {
  const { deadlineMs = 10_000, intervalMs = 10 } = options;
  const end = Date.now() + deadlineMs;
  for (;;) {
    try {
      return await check();
    } catch (cause) {
      if (Date.now() >= end) throw cause;
    }
    await delay(intervalMs);
  }
}
