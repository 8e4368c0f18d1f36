import { readFileSync, writeFileSync } from "node:fs";

const knob = "/sys/kernel/rcu_expedited";

/**
 * Attaching to a device, and detaching from one, waits inside the kernel until no CPU can still be running what was there before:
 * 8 ms at a time on two idle CPUs, 0.2 ms when the kernel is asked to hurry. It is asked only while the work runs, which must be short
 * and may not await, and only where nobody else has asked already. Where the knob cannot be written (a container with a read-only
 * /sys), the work just takes longer.
 */
export function withShortGracePeriods<T>(work: () => T): T {
  const hurried = hurry();
  try {
    return work();
  } finally {
    if (hurried) write("0");
  }
}

function hurry(): boolean {
  try {
    return readFileSync(knob, "latin1").trim() === "0" && write("1");
  } catch {
    return false; // A kernel with tiny RCU has no knob, and no long waits.
  }
}

function write(value: "0" | "1"): boolean {
  try {
    writeFileSync(knob, value);
    return true;
  } catch {
    return false;
  }
}
