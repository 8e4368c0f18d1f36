import { mkdir, mkdtempDisposable, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { filesBelow, type GeneratedFolder } from "./generated-folder.ts";
import { runCommand } from "./run-command.ts";

/** Folders of .proto files with a buf.gen.yaml, and where that puts what is made of them. */
const modules = [
  { source: "proto", folderPath: "adapters/observer/src/gen" },
  { source: "adapters/flow-export/proto", folderPath: "adapters/flow-export/src/gen" },
] as const;

/** Messages and services of the wire contracts, made by buf. Throws with what buf says about a faulty .proto file. */
export async function generateProtobuf(root: string): Promise<GeneratedFolder[]> {
  return await Promise.all(modules.map((one) => generateModule(root, one)));
}

async function generateModule(root: string, { source, folderPath }: (typeof modules)[number]): Promise<GeneratedFolder> {
  const protoDirectory = join(root, source);
  await using temporary = await mkdtempDisposable(join(tmpdir(), "generate-protobuf-"));
  // The template's outputs are relative to its folder: an equally named one makes them fall beside it here too.
  const output = join(temporary.path, source);
  await mkdir(output, { recursive: true });
  const result = await runCommand(process.execPath, [join(root, "node_modules/@bufbuild/buf/bin/buf"), "generate", "--output", output], {
    directory: protoDirectory,
    // The template runs its plugin with "node": this one.
    environment: { PATH: [dirname(process.execPath), process.env.PATH ?? ""].join(delimiter) },
  });
  if (result.exitCode !== 0) throw new Error(`buf cannot generate from ${source}/:\n${result.output.trimEnd()}`);
  const generated = join(temporary.path, folderPath);
  const names = await filesBelow(generated);
  if (names.length === 0) throw new Error(`buf generated nothing into ${folderPath}: see the outputs in ${source}/buf.gen.yaml`);
  const files = await Promise.all(names.map(async (name) => [name, await readFile(join(generated, name), "utf8")] as const));
  return { path: folderPath, files: new Map(files) };
}
