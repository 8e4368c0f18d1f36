import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runOrThrow, runToEnd } from "@cilium-ts/lab";

/** The traffic that is measured. Every test uses these two ports, so that a policy can name them. */
export const netperfPorts = { control: 12_865, transfer: 12_866 } as const;

export type NetperfTest = "tcp-stream" | "tcp-rr" | "tcp-crr" | "udp-pps";

export interface NetperfPrograms {
  readonly netperf: string;
  readonly netserver: string;
}

/** From the PATH, or from Debian's package, unpacked beside the build (in Debian 12 it is in the non-free section, hence no apt install). */
export async function ensureNetperf(root: string): Promise<NetperfPrograms> {
  const installed = (await runToEnd("sh", ["-c", "command -v netperf && command -v netserver"])).stdout.trim().split("\n");
  if (installed.length === 2 && installed[0] !== undefined && installed[1] !== undefined)
    return { netperf: installed[0], netserver: installed[1] };
  const folder = join(root, ".cache/netperf");
  const programs = { netperf: join(folder, "usr/bin/netperf"), netserver: join(folder, "usr/bin/netserver") };
  if (existsSync(programs.netperf)) return programs;
  console.error("dev: fetching netperf: it makes the traffic that is measured");
  await fetchPackage(folder);
  return programs;
}

async function fetchPackage(folder: string): Promise<void> {
  for (const sub of ["lists/partial", "archives/partial"]) mkdirSync(join(folder, "apt", sub), { recursive: true });
  const sources = readFileSync("/etc/apt/sources.list.d/debian.sources", "utf8");
  const mirror = /^URIs:\s*(\S+)/m.exec(sources)?.[1];
  const suite = /^Suites:\s*(\S+)/m.exec(sources)?.[1];
  if (mirror === undefined || suite === undefined)
    throw new Error("netperf is needed: install it (Debian has it in the non-free section), then try again");
  writeFileSync(
    join(folder, "apt/sources.list"),
    `deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror} ${suite} main non-free\n`,
  );
  const options = [
    `Dir::Etc::sourcelist=${folder}/apt/sources.list`,
    "Dir::Etc::sourceparts=/dev/null",
    `Dir::State::lists=${folder}/apt/lists`,
    `Dir::Cache=${folder}/apt`,
    "APT::Sandbox::User=root",
  ].flatMap((option) => ["-o", option]);
  await runOrThrow("apt-get", [...options, "update", "--quiet=2"]);
  await runOrThrow("sh", ["-c", 'cd "$0" && exec apt-get "$@"', folder, ...options, "download", "--quiet=2", "netperf"]);
  const archive = readdirSync(folder).find((name) => name.endsWith(".deb"));
  if (archive === undefined) throw new Error("netperf is needed: apt-get downloaded nothing; install it by hand, then try again");
  await runOrThrow("dpkg", ["-x", join(folder, archive), folder]);
}

const tests: Record<
  NetperfTest,
  { args: readonly string[]; after: readonly string[]; cpus: string; read: (fields: Map<string, string>) => number }
> = {
  // UDP tests refuse to leave the link unless told (-R): pods are reached by a route.
  // Client and server of a request/response share a CPU: what is measured is the path, not the wake-up of the other CPU.
  "tcp-stream": {
    args: ["-t", "omni"],
    after: ["-T", "tcp", "-d", "send", "-m", "65536"],
    cpus: "0,1",
    read: (fields) => Number(fields.get("THROUGHPUT")),
  },
  "tcp-rr": {
    args: ["-t", "omni"],
    after: ["-T", "tcp", "-d", "rr", "-r", "1,1"],
    cpus: "0,0",
    read: (fields) => Number(fields.get("THROUGHPUT")),
  },
  "tcp-crr": { args: ["-t", "TCP_CRR"], after: ["-r", "1,1"], cpus: "0,0", read: (fields) => Number(fields.get("THROUGHPUT")) },
  "udp-pps": {
    args: ["-t", "omni"],
    after: ["-T", "udp", "-d", "send", "-m", "64", "-R", "1"],
    cpus: "0,1",
    read: (fields) => Number(fields.get("REMOTE_RECV_CALLS")) / Number(fields.get("ELAPSED_TIME")),
  },
};

const outputFields = "THROUGHPUT,THROUGHPUT_UNITS,ELAPSED_TIME,REMOTE_RECV_CALLS,LOCAL_SEND_CALLS";

/** One run: Mbit/s, transactions/s, or packets received/s. */
export async function measure(options: {
  programs: NetperfPrograms;
  test: NetperfTest;
  clientNamespacePath: string;
  serverAddress: string;
  seconds: number;
}): Promise<number> {
  const test = tests[options.test];
  const family = options.serverAddress.includes(":") ? "-6" : "-4";
  const output = await runOrThrow("nsenter", [
    `--net=${options.clientNamespacePath}`,
    options.programs.netperf,
    family,
    "-H",
    options.serverAddress,
    "-p",
    String(netperfPorts.control),
    "-l",
    String(options.seconds),
    "-P",
    "0",
    "-T",
    test.cpus,
    ...test.args,
    "--",
    "-P",
    `,${netperfPorts.transfer}`,
    ...test.after,
    "-k",
    outputFields,
  ]);
  const fields = new Map(output.split("\n").map((line) => [line.split("=")[0] ?? "", line.split("=")[1] ?? ""]));
  const value = test.read(fields);
  if (!(value > 0)) throw new Error(`netperf ${options.test} to ${options.serverAddress} said nothing usable: ${output.trim()}`);
  return value;
}
