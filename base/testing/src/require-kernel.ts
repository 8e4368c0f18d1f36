import { readFileSync } from "node:fs";

/**
 * The `skip` of a test that needs root and a kernel: false, or the reason. On a kernel that is new enough it is never a reason to
 * skip that the feature seems to be missing: the test runs, and fails. Linux 6.6 has tcx, the youngest thing the datapath needs.
 */
export function requireKernel(minimum = "6.6"): string | false {
  if (process.platform !== "linux") return "needs Linux";
  if (process.getuid?.() !== 0) return "needs root";
  const release = readFileSync("/proc/sys/kernel/osrelease", "utf8").trim();
  const [major = 0, minor = 0] = release.split(".").map(Number);
  const [wantedMajor = 0, wantedMinor = 0] = minimum.split(".").map(Number);
  if (major < wantedMajor || (major === wantedMajor && minor < wantedMinor)) return `needs Linux ${minimum}, this is ${release}`;
  return false;
}
