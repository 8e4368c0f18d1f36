import { readFile } from "node:fs/promises";

/** How a collector is reached. */
export interface OtlpConnection {
  /** Sent with each request. */
  readonly headers: Readonly<Record<string, string>>;
  /** PEM files, for addresses that are spoken to by TLS; they are read again for each request. Empty: the system's authorities; no client certificate. */
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

/** A log record, in the words of OTLP's JSON form. */
export interface OtlpRecord {
  readonly timeUnixNano: string;
  readonly observedTimeUnixNano: string;
  readonly severityNumber: number;
  readonly severityText: string;
  readonly body: { readonly stringValue: string };
  readonly attributes: readonly OtlpAttribute[];
}

export interface OtlpAttribute {
  readonly key: string;
  readonly value: { readonly stringValue: string };
}

/** Who sends, and what the records are of. */
export interface OtlpOrigin {
  readonly resource: readonly OtlpAttribute[];
  readonly scope: { readonly name: string; readonly version: string };
}

/** What became of a request: taken but for some records; the collector may take it later; it never will. */
export type Delivery =
  | { readonly kind: "taken"; readonly rejected: number }
  | { readonly kind: "busy"; readonly reason: string; readonly retryAfterMs: number }
  | { readonly kind: "refused"; readonly reason: string };

/** Brings log records to a collector. Never rejects. */
export interface OtlpTransport extends Disposable {
  deliver(records: readonly OtlpRecord[]): Promise<Delivery>;
}

export const timeoutMs = 10_000;

export interface TlsTexts {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** Rejects when a file cannot be read. */
export async function readTls({ caFile, certFile, keyFile }: OtlpConnection): Promise<TlsTexts> {
  const [ca, cert, key] = await Promise.all([caFile, certFile, keyFile].map((path) => (path === "" ? undefined : readFile(path, "utf8"))));
  return { ...(ca !== undefined && { ca }), ...(cert !== undefined && key !== undefined && { cert, key }) };
}

/** What went wrong underneath, which is what a reader needs: TLS and sockets hide it behind two layers of errors. */
export function rootMessage(cause: unknown): string {
  let error = cause;
  while (error instanceof Error && error.cause instanceof Error) error = error.cause;
  if (!(error instanceof Error)) return String(error);
  const { code } = error as NodeJS.ErrnoException;
  return code === undefined || error.message.includes(code) ? error.message : `${error.message} (${code})`;
}
