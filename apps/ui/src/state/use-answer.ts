import { useEffect, useState } from "react";
import { type Answer, askBackend } from "./ask-backend.ts";

/** Asks again whenever the question changes, and with `everyMs` now and then. The last answer stays until there is a new one. */
export function useAnswer<T>(path: string, everyMs?: number): Answer<T> {
  const [answer, setAnswer] = useState<Answer<T>>({ kind: "waiting" });
  useEffect(() => {
    const stop = new AbortController();
    const ask = (): void => void askBackend<T>(path, { signal: stop.signal }).then(setAnswer, () => {});
    setAnswer({ kind: "waiting" });
    ask();
    const timer = everyMs === undefined ? undefined : setInterval(ask, everyMs);
    return () => {
      clearInterval(timer);
      stop.abort();
    };
  }, [path, everyMs]);
  return answer;
}
