import { formatViewQuery, type ViewMessage, type ViewQuery } from "@cilium-ts/service-map/view";
import { noteLostSession } from "./lost-session.ts";
import type { ViewStore } from "./view-store.ts";

const retryDelaysMs = [500, 1_000, 2_000, 5_000, 10_000];
/** The backend writes at least an empty line in ten seconds. */
const silenceMs = 30_000;
/** No message is longer; a line that never ends is garbage. */
const lineLengthMax = 64_000_000;

/** Answers in lines of JSON; the same as `fetch`. */
export type Fetch = (url: string, options: { readonly signal: AbortSignal }) => Promise<Response>;

/** Keeps the store as the backend says, until aborted. A lost connection goes on where it ended. */
export async function readStream(store: ViewStore, query: ViewQuery, fetchView: Fetch, signal: AbortSignal): Promise<void> {
  for (let attempt = 0; !signal.aborted; attempt += 1) {
    const parameters = formatViewQuery(query);
    if (store.position !== "") parameters.set("position", store.position);
    let reason = "the backend ended the connection";
    try {
      const outcome = await readOnce(store, `api/view?${parameters}`, fetchView, signal, () => {
        attempt = 0;
      });
      if (outcome === "stop") return;
      if (outcome !== undefined) reason = outcome;
    } catch (cause) {
      if (signal.aborted) return;
      reason = cause instanceof Error ? cause.message : String(cause);
    }
    if (signal.aborted) return;
    const delayMs = retryDelaysMs[Math.min(attempt, retryDelaysMs.length - 1)] ?? 10_000;
    store.setConnection({ kind: "lost", reason, retryAtMs: Date.now() + delayMs });
    await pause(delayMs, signal);
  }
}

/** "stop" when asking again is no use; a reason to ask again otherwise. */
async function readOnce(
  store: ViewStore,
  url: string,
  fetchView: Fetch,
  signal: AbortSignal,
  onMessage: () => void,
): Promise<"stop" | string | undefined> {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(new Error("the backend is silent")), silenceMs);
  try {
    const response = await fetchView(url, { signal: AbortSignal.any([signal, silence.signal]) });
    if (!response.ok || response.body === null) {
      const reason = await problemOf(response);
      if (response.status >= 500) return reason;
      store.setConnection({ kind: "refused", reason });
      return "stop";
    }
    let rest = "";
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return undefined;
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(new Error("the backend is silent")), silenceMs);
      const lines = (rest + value).split("\n");
      rest = lines.pop() ?? "";
      if (rest.length > lineLengthMax) return "the backend sent what cannot be read";
      for (const line of lines) {
        if (line === "") continue;
        store.take(JSON.parse(line) as ViewMessage, Date.now());
        onMessage();
      }
    }
  } finally {
    clearTimeout(timer);
  }
}

/** What the answer says, or what its status means. */
export async function problemOf(response: Response): Promise<string> {
  const problem = await saidProblem(response);
  noteLostSession(response, problem);
  return problem;
}

async function saidProblem(response: Response): Promise<string> {
  try {
    const body: unknown = await response.json();
    if (typeof body === "object" && body !== null && "problem" in body && typeof body.problem === "string") return body.problem;
  } catch {
    // Not ours: a proxy's page, say.
  }
  if (response.status === 502 || response.status === 503 || response.status === 504) return "the backend cannot be reached";
  return `the backend answered ${response.status} ${response.statusText}`.trim();
}

function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, delayMs);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}
