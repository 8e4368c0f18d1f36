import { access, mkdir, mkdtempDisposable, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { filesBelow, type GeneratedFolder } from "./generated-folder.ts";
import { runCommand } from "./run-command.ts";

const folderPath = "adapters/observer/src/gen";

/**
 * Messages and services of the wire contracts in proto/, made by buf as proto/buf.gen.yaml says. Undefined when there is no such file.
 * Throws with what buf says about a faulty .proto file.
 */
export async function generateProtobuf(root: string): Promise<GeneratedFolder | undefined> {
  const protoDirectory = join(root, "proto");
  const hasTemplate = await access(join(protoDirectory, "buf.gen.yaml")).then(
    () => true,
    () => false,
  );
  if (!hasTemplate) return undefined;
  await using temporary = await mkdtempDisposable(join(tmpdir(), "generate-protobuf-"));
  // The template's outputs are relative to proto/: an equally named folder makes them fall beside it here too.
  const output = join(temporary.path, "proto");
  await mkdir(output);
  const result = await runCommand(process.execPath, [join(root, "node_modules/@bufbuild/buf/bin/buf"), "generate", "--output", output], {
    directory: protoDirectory,
    // The template runs its plugin with "node": this one.
    environment: { PATH: [dirname(process.execPath), process.env.PATH ?? ""].join(delimiter) },
  });
  if (result.exitCode !== 0) throw new Error(`buf cannot generate from proto/:\n${result.output.trimEnd()}`);
  const generated = join(temporary.path, folderPath);
  const names = await filesBelow(generated);
  if (names.length === 0) throw new Error(`buf generated nothing into ${folderPath}: see the outputs in proto/buf.gen.yaml`);
  const files = await Promise.all(names.map(async (name) => [name, await readFile(join(generated, name), "utf8")] as const));
  return { path: folderPath, files: new Map(files) };
}
