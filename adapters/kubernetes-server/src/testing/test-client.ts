import type { Mutable } from "../schema/schema.ts";

export interface Answer {
  readonly code: number;
  readonly body: Mutable;
  readonly warnings: string;
}

/** A small client for tests: JSON in, JSON out, whatever the status. */
export function createTestClient(url: string) {
  const call = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> => {
    const text = body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body);
    const response = await fetch(url + path, {
      method,
      headers: { "Content-Type": "application/json", "User-Agent": "test/1", ...headers },
      ...(text !== undefined && { body: text }),
    });
    return { code: response.status, body: (await response.json()) as Mutable, warnings: response.headers.get("warning") ?? "" };
  };
  return {
    get: (path: string, headers?: Record<string, string>) => call("GET", path, undefined, headers),
    post: (path: string, body: unknown, headers?: Record<string, string>) => call("POST", path, body, headers),
    put: (path: string, body: unknown) => call("PUT", path, body),
    delete: (path: string, body?: unknown) => call("DELETE", path, body),
    patch: (path: string, type: "json" | "merge" | "strategic-merge", body: unknown) =>
      call("PATCH", path, body, { "Content-Type": `application/${type}-patch+json` }),
    apply: (path: string, body: unknown) => call("PATCH", path, body, { "Content-Type": "application/apply-patch+yaml" }),
    /** Events as they come, until the caller stops. */
    async *watch(path: string, headers: Record<string, string> = {}): AsyncGenerator<{ type: string; object: Mutable }> {
      const stop = new AbortController();
      const response = await fetch(url + path, { signal: stop.signal, headers });
      if (response.status !== 200 || response.body === null) throw new Error(`watch answered ${response.status}: ${await response.text()}`);
      let rest = "";
      try {
        for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
          const lines = (rest + chunk).split("\n");
          rest = lines.pop() ?? "";
          for (const line of lines) yield JSON.parse(line) as { type: string; object: Mutable };
        }
      } finally {
        stop.abort();
      }
    },
  };
}
