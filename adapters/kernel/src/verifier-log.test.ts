import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { condenseVerifierLog, lastMessage, parseRejection } from "./verifier-log.ts";

describe("a verifier's log", () => {
  const rows: ReadonlyArray<readonly [name: string, log: string, line: string]> = [
    [
      "ends in the reason, before the counts",
      "0: R1=ctx() R10=fp0\n; return *value + 1; @ pod.c:20\n7: (79) r0 = *(u64 *)(r0 +0)\nR0 invalid mem access 'map_value_or_null'\nprocessed 7 insns (limit 1000000) max_states_per_insn 0 total_states 0\n",
      "R0 invalid mem access 'map_value_or_null' at `return *value + 1;` (pod.c:20)",
    ],
    [
      "of an old kernel names the statement without its place",
      "; return *value + 1;\n7: (79) r0 = *(u64 *)(r0 +0)\nR0 invalid mem access 'inv'\n",
      "R0 invalid mem access 'inv' at `return *value + 1;`",
    ],
    [
      "without source has the reason alone",
      "R0 !read_ok\nverification time 17 usec\nstack depth 0\nprocessed 1 insns (limit 1)\n",
      "R0 !read_ok",
    ],
    ["that is empty says so", "", "the verifier gave no reason"],
    ["with nothing but counts says so", "processed 0 insns (limit 1000000)\n", "the verifier gave no reason"],
  ];
  for (const [name, log, line] of rows) test(name, () => assert.equal(condenseVerifierLog(log), line));

  test("is found between libbpf's messages, with the program's name", () => {
    const text =
      "libbpf: prog 'pod': BPF program load failed: Permission denied\nlibbpf: prog 'pod': -- BEGIN PROG LOAD LOG --\nR0 !read_ok\n-- END PROG LOAD LOG --\nlibbpf: failed to load object 'pod'\n";
    assert.deepEqual(parseRejection(text), { program: "pod", log: "R0 !read_ok\n", line: "R0 !read_ok" });
    assert.equal(lastMessage(text), "failed to load object 'pod'");
  });

  test("is none when something else failed", () => {
    assert.equal(parseRejection("libbpf: map 'flows': failed to create: Invalid argument(-22)\n"), undefined);
  });
});
