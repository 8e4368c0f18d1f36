import { type Kernel, UnsupportedFeature } from "@cilium-ts/kernel";

/** The youngest thing that the datapath needs. Found out before anything is touched, not when the first pod comes. */
export function requireTcx({ release }: Pick<Kernel, "release">): void {
  const [major = 0, minor = 0] = release.split(".").map((part) => Number.parseInt(part, 10));
  if (major < 6 || (major === 6 && minor < 6)) throw new UnsupportedFeature("tcx", "6.6", release);
}
