import { readdirSync, readFileSync, statSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { extname, join, relative } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

interface StaticFile {
  readonly type: string;
  /** Named after its content: it never changes. */
  readonly isLasting: boolean;
  readonly bytes: Buffer;
  readonly gzip: Buffer | undefined;
  readonly brotli: Buffer | undefined;
}

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".json": "application/json",
  ".png": "image/png",
  ".woff2": "font/woff2",
  ".webmanifest": "application/manifest+json",
};
/** A page is a few files; a folder of anything else is a mistake. */
const fileCountMax = 1_000;

/** Only what the page itself brings runs in it, and nobody else frames it. */
const pageHeaders = {
  "content-security-policy":
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; frame-ancestors 'self'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "same-origin",
};

/** The page's files, read once into memory: the file system may be read-only, and no request reaches it. */
export class StaticFiles {
  readonly #files = new Map<string, StaticFile>();

  /** Throws when the folder cannot be read. */
  constructor(folder: string) {
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || entry.name.endsWith(".map")) continue;
      if (this.#files.size >= fileCountMax) throw new Error(`${folder} holds more than ${fileCountMax} files: it is not the page's`);
      const path = join(entry.parentPath, entry.name);
      this.#files.set(relative(folder, path), readStaticFile(path));
    }
    if (!this.#files.has("index.html")) throw new Error(`${folder} has no index.html: build the page, or name another folder`);
  }

  get count(): number {
    return this.#files.size;
  }

  /** `path` is relative. Whatever is no file is the page itself, except below `assets/`. */
  serve(path: string, acceptedEncodings: string, response: ServerResponse): void {
    const file = this.#files.get(path) ?? (path.startsWith("assets/") ? undefined : this.#files.get("index.html"));
    if (file === undefined) {
      response
        .writeHead(404, { "content-type": "text/plain; charset=utf-8" })
        .end(`there is no ${path}: the page was made by another version; load it again\n`);
      return;
    }
    const [encoding, bytes] = acceptedEncodings.includes("br")
      ? (["br", file.brotli] as const)
      : acceptedEncodings.includes("gzip")
        ? (["gzip", file.gzip] as const)
        : (["identity", undefined] as const);
    response
      .writeHead(200, {
        ...pageHeaders,
        "content-type": file.type,
        "cache-control": file.isLasting ? "public, max-age=31536000, immutable" : "no-cache",
        vary: "accept-encoding",
        ...(bytes === undefined ? {} : { "content-encoding": encoding }),
      })
      .end(bytes ?? file.bytes);
  }
}

function readStaticFile(path: string): StaticFile {
  const bytes = readFileSync(path);
  const type = types[extname(path)] ?? "application/octet-stream";
  const isText = !type.startsWith("image/png") && !type.startsWith("font/") && statSync(path).size > 500;
  return {
    type,
    isLasting: /-[A-Z0-9]{8}\.[a-z0-9]+$/.test(path),
    bytes,
    gzip: isText ? gzipSync(bytes, { level: 9 }) : undefined,
    brotli: isText ? brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } }) : undefined,
  };
}
