import { createSocket } from "node:dgram";

/** What a pod measured of a name server, asked by UDP with so many questions on their way at once. */
export interface DnsLoad {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly lost: number;
}

/** Of names like 198-18-0-1.bench: the same one, or each time the next. */
export type AskedNames = "same" | "new";

const lostAfterMs = 2_000;

/** `dns-role.ts SERVER same|new FIRST COUNT SECONDS`, inside of a pod; a line of JSON. */
function main([server = "", names = "same", first = "0", count = "1", seconds = "1"]: readonly string[]): void {
  const socket = createSocket("udp4");
  const times: number[] = [];
  const sent = new Map<number, number>();
  let [next, lost] = [Number(first), 0];
  const ask = (slot: number): void => {
    if (names === "new") next += 1;
    sent.set(slot, performance.now());
    socket.send(query(slot, `198-18-${(next >> 8) & 255}-${next & 255}`));
  };
  socket.on("message", (bytes) => {
    const slot = bytes.readUInt16BE(0);
    const at = sent.get(slot);
    if (at === undefined) return;
    if ((bytes.readUInt16BE(2) & 15) !== 0) throw new Error(`the server answers with code ${bytes.readUInt16BE(2) & 15}`);
    times.push(performance.now() - at);
    ask(slot);
  });
  const retry = setInterval(() => {
    for (const [slot, at] of sent) {
      if (performance.now() - at < lostAfterMs) continue;
      lost += 1;
      ask(slot);
    }
  }, 100);
  socket.connect(53, server, () => {
    const startedMs = performance.now();
    for (let slot = 0; slot < Number(count); slot += 1) ask(slot);
    setTimeout(() => {
      clearInterval(retry);
      socket.close();
      const sorted = times.sort((one, other) => one - other);
      const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
      const load: DnsLoad = { perSecond: (times.length * 1_000) / (performance.now() - startedMs), p50Ms: at(0.5), p99Ms: at(0.99), lost };
      console.log(JSON.stringify(load));
    }, Number(seconds) * 1_000);
  });
}

function query(id: number, host: string): Buffer {
  const header = Buffer.from([id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
  const labels = [host, "bench"].map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label)]));
  return Buffer.concat([header, ...labels, Buffer.of(0, 0, 1, 0, 1)]);
}

if (import.meta.main) main(process.argv.slice(2));
