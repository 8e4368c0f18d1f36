import { readdirSync, readFileSync } from "node:fs";
import { Metrics } from "@cilium-ts/metrics";

/** What every Prometheus client tells of its process, under the prefix that Cilium's agent gives it. */
export function processMetrics(nowMs: number): string {
  const metrics = new Metrics();
  const gauge = (name: string, help: string, value: number | undefined): void => {
    if (value !== undefined && Number.isFinite(value)) metrics.gauge(`cilium_process_${name}`, help).set(value);
  };
  const { user, system } = process.cpuUsage();
  metrics.counter("cilium_process_cpu_seconds_total", "Time on CPUs.").increase({}, (user + system) / 1e6);
  gauge("start_time_seconds", "When the process began, in seconds since 1970.", nowMs / 1_000 - process.uptime());
  gauge("resident_memory_bytes", "Resident memory.", process.memoryUsage.rss());
  gauge("virtual_memory_bytes", "Virtual memory.", statusBytes("VmSize"));
  gauge("open_fds", "Open file descriptors.", readdirSync("/proc/self/fd").length);
  gauge("max_fds", "File descriptors that may be open.", descriptorsMax());
  return metrics.text();
}

/** Of a line such as `VmSize:   123 kB`. */
function statusBytes(name: string): number | undefined {
  const kilobytes = new RegExp(`^${name}:\\s+([0-9]+) kB$`, "m").exec(readFileSync("/proc/self/status", "latin1"))?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1_024;
}

function descriptorsMax(): number | undefined {
  const [, soft] = /^Max open files\s+([0-9]+)/m.exec(readFileSync("/proc/self/limits", "latin1")) ?? [];
  return soft === undefined ? undefined : Number(soft);
}
