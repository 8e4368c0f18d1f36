import { readdirSync, readFileSync, rmSync } from "node:fs";
import { labDirectory } from "./lab-directory.ts";
import { readLab } from "./read-lab.ts";
import { runToEnd, stopDaemon } from "./shell.ts";

/** Ends and removes everything that carries the lab's name, also after a start that was cut short. Absent things are fine. */
export async function removeLab(name: string): Promise<void> {
  const record = readLab(name);
  await Promise.all((record?.daemons ?? []).map((daemon) => stopDaemon(daemon, { graceMs: 3_000 })));
  for (const namespace of namespacesOf(name)) {
    await endProcessesIn(namespace);
    await runToEnd("ip", ["netns", "del", namespace]);
  }
  for (const link of await linksOf(name)) await runToEnd("ip", ["link", "del", link]);
  for (const mount of mountsUnder(labDirectory(name))) await runToEnd("umount", [mount]);
  rmSync(labDirectory(name), { recursive: true, force: true });
}

function namespacesOf(name: string): string[] {
  try {
    return readdirSync("/run/netns").filter((entry) => entry.startsWith(`ct-${name}-`));
  } catch {
    return []; // No namespace was ever made on this machine.
  }
}

/** Whatever still runs inside, such as a command that somebody started by hand. */
async function endProcessesIn(namespace: string): Promise<void> {
  const { stdout } = await runToEnd("ip", ["netns", "pids", namespace]);
  for (const pid of stdout.split("\n").map(Number)) {
    if (pid > 1) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // Gone already.
      }
    }
  }
}

async function linksOf(name: string): Promise<string[]> {
  const { stdout } = await runToEnd("ip", ["-json", "link", "show"]);
  const links: Array<{ ifname: string }> = stdout === "" ? [] : JSON.parse(stdout);
  const own = new RegExp(`^ct-${name}[0-9]*$`);
  return links.map((link) => link.ifname).filter((link) => own.test(link));
}

function mountsUnder(directory: string): string[] {
  return readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[1] ?? "")
    .filter((path) => path.startsWith(`${directory}/`))
    .reverse();
}
