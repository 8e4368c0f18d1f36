import assert from "node:assert/strict";
import { test } from "node:test";
import { usedPorts } from "./ssh-sockets.ts";

const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
const rest = "00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0";
const v4 = (index: number, local: string, remote: string, state: string): string => `   ${index}: ${local} ${remote} ${state} ${rest}`;

test("ports that listen or are connected are found, with who is connected, in both families", () => {
  const text = [
    head,
    v4(0, "00000000:0016", "00000000:0000", "0A"),
    v4(1, "0100000A:0016", "0500000A:C350", "01"),
    v4(2, "0100000A:0016", "0500000A:C351", "01"),
    v4(3, "0100000A:0016", "0700000A:C352", "06"),
    v4(4, "0100007F:0016", "0100007F:C353", "01"),
    v4(5, "0100000A:1F90", "0500000A:C350", "01"),
    head,
    v4(0, "00000000000000000000000000000000:08AE", "00000000000000000000000000000000:0000", "0A"),
    v4(1, "000000FD000000000000000001000000:08AE", "000000FD000000000000000005000000:C350", "01"),
    v4(2, "0000000000000000FFFF00000100000A:08AE", "0000000000000000FFFF00000900000A:C350", "01"),
  ].join("\n");
  assert.deepEqual(usedPorts([22, 2222, 2200], text), [
    { port: 22, remotes: ["10.0.0.5"] },
    { port: 2222, remotes: ["10.0.0.9", "fd00::5"] },
  ]);
});

test("nothing listens: there is nothing to lose", () => {
  assert.deepEqual(usedPorts([22], `${head}\nnonsense\n${v4(0, "0100000A:1F90", "0500000A:C350", "01")}`), []);
});
