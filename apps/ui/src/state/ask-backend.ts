import { problemOf } from "./read-stream.ts";

export type Answer<T> =
  | { readonly kind: "waiting" }
  | { readonly kind: "answer"; readonly value: T }
  | { readonly kind: "problem"; readonly problem: string };

/** Asks the backend once. Rejects only when it is aborted. */
export async function askBackend<T>(path: string, options: { readonly signal: AbortSignal; readonly body?: string }): Promise<Answer<T>> {
  const { signal, body } = options;
  try {
    const response = await fetch(path, {
      signal,
      ...(body === undefined ? {} : { method: "POST", body, headers: { "content-type": "application/yaml", "x-hubble-ui": "1" } }),
    });
    if (!response.ok) return { kind: "problem", problem: await problemOf(response) };
    return { kind: "answer", value: (await response.json()) as T };
  } catch (cause) {
    signal.throwIfAborted();
    return { kind: "problem", problem: `the backend cannot be asked: ${cause instanceof Error ? cause.message : String(cause)}` };
  }
}
