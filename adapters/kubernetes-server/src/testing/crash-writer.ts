import { openSqliteStore } from "../store/sqlite-store.ts";

/** Writes for ever, and says of each write when it is durable. The test that runs it in a process of its own kills it. */
export async function writeForEver(path: string, run: number): Promise<void> {
  await using store = openSqliteStore({ path });
  let count = 0;
  const padding = "x".repeat(2_000);
  const write = async (): Promise<void> => {
    count += 1;
    const key = `/core/configmaps/default/${run}-${count}`;
    const result = await store.write({ key, expected: 0, encode: (revision) => JSON.stringify({ revision, padding }), deleted: false });
    if (result.outcome !== "written") throw new Error(`${key} was there already`);
    process.stdout.write(`${key} ${result.revision}\n`);
  };
  // Several at a time, so that batches are cut in the middle too.
  const writers = Array.from({ length: 4 }, async () => {
    for (;;) await write();
  });
  await Promise.all(writers);
}
