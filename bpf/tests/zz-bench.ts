import { allowAll, at, client, families, host, ip, openTwoPods, placeTwoPods, sent, received, server } from "./two-pods.ts";
import { tcp, udp } from "./layers.ts";
import { testIfindex, u32 } from "./pod-programs.ts";
const t0 = performance.now();
using p = await openTwoPods({}, { ct4: 131072, ct6: 131072 });
console.log("open", performance.now() - t0);
const best = (f: () => number) => { let b = 1e9; for (let i = 0; i < 40; i++) b = Math.min(b, f()); return b; };
for (const family of families) {
  placeTwoPods(p, allowAll(client, server));
  const pk = sent(client, ip(family, at(client, family), at(server, family), { ttl: 255 }), tcp(4000, 80, "A"), "x");
  p.fromPod(client, pk);
  p.map("endpoint_devices").update(u32(testIfindex), u32(client.id));
  console.log(family, "pod-pod est", best(() => p.program("from_pod").testRun({ packet: pk, repeat: 200 }).durationNs));
  const ph = sent(client, ip(family, at(client, family), at(host, family)), tcp(4000, 80, "A"), "x");
  p.fromPod(client, ph);
  console.log(family, "pod-host est", best(() => p.program("from_pod").testRun({ packet: ph, repeat: 20000 }).durationNs));
  const pt = received(client, ip(family, at(host, family), at(client, family)), tcp(80, 4000, "A"), "x");
  console.log(family, "host-pod reply", best(() => p.program("to_pod").testRun({ packet: pt, repeat: 20000 }).durationNs));
  let sum = 0; const n = 2000;
  for (let i = 0; i < n; i++) { sum += p.program("from_pod").testRun({ packet: sent(client, ip(family, at(client, family), at(server, family)), tcp(5000 + i, 80, "S"), "x") }).durationNs; if (i % 100 === 0) p.drain(); }
  console.log(family, "pod-pod new avg", sum / n);
  const pb = sent(client, ip(family, at(client, family), at(server, family)), { number: 99, build: (x) => x }, "xxxxxxxxxxxx");
  console.log(family, "drop 137", p.fromPod(client, pb).dropReason);
}
