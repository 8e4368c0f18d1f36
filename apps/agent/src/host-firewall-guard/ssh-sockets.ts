import { readFile } from "node:fs/promises";
import { type AddressBytes, formatAddress } from "@cilium-ts/net";

/** A socket of the kernel's tables. */
interface TcpSocket {
  readonly localPort: number;
  readonly state: "listening" | "established";
  readonly remote: AddressBytes;
}

/** Ports that listen to others or have connections, with the addresses at the other end. */
export interface UsedPort {
  readonly port: number;
  readonly remotes: readonly string[];
}

/** Of one port; a node under attack has more connections than anybody must know. */
const remotesMax = 64;

const states: Readonly<Record<string, TcpSocket["state"]>> = { "01": "established", "0A": "listening" };

/** Of the ports those that somebody uses, by the tables of the network namespace in which this process is. */
export async function readUsedPorts(ports: readonly number[], directory = "/proc/self/net"): Promise<UsedPort[]> {
  const read = (name: string): Promise<string> => readFile(`${directory}/${name}`, "utf8").catch(() => ""); // A node may have one family.
  return usedPorts(ports, (await Promise.all([read("tcp"), read("tcp6")])).join("\n"));
}

/** From the text of /proc/net/tcp and tcp6. */
export function usedPorts(ports: readonly number[], text: string): UsedPort[] {
  const used = new Map<number, Set<string>>();
  for (const line of text.split("\n")) {
    const socket = parseSocket(line, ports);
    if (socket === undefined) continue;
    const remotes = used.get(socket.localPort) ?? new Set<string>();
    used.set(socket.localPort, remotes);
    if (socket.state === "established" && remotes.size < remotesMax && !isLoopback(socket.remote))
      remotes.add(formatAddress(socket.remote));
  }
  return [...used].map(([port, remotes]) => ({ port, remotes: [...remotes].sort() })).sort((a, b) => a.port - b.port);
}

/** `  0: 00000000:0016 00000000:0000 0A ...`: addresses in words of the machine's order, ports in the network's. */
function parseSocket(line: string, ports: readonly number[]): TcpSocket | undefined {
  const [, local, remote, state] = /^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) ([0-9A-F]+):[0-9A-F]{4} ([0-9A-F]{2}) /.exec(line) ?? [];
  const kind = states[state ?? ""];
  if (local === undefined || remote === undefined || kind === undefined) return undefined;
  const localPort = Number.parseInt(local, 16);
  return ports.includes(localPort) ? { localPort, state: kind, remote: addressOf(remote) } : undefined;
}

function addressOf(words: string): AddressBytes {
  const bytes = Buffer.from(words, "hex");
  bytes.swap32();
  const isMapped = bytes.length === 16 && bytes.readUInt32BE(8) === 0xffff && bytes.readBigUInt64BE(0) === 0n;
  return new Uint8Array(isMapped ? bytes.subarray(12) : bytes);
}

function isLoopback(address: AddressBytes): boolean {
  return address.length === 4 ? address[0] === 127 : formatAddress(address) === "::1";
}
