import type { ChangeRights } from "@cilium-ts/service-map/view";
import { useEffect, useState } from "react";
import { useSessionCount } from "../sign-in/use-session.ts";
import { type Answer, askBackend } from "../state/ask-backend.ts";

const askDelayMs = 400;

/** What the user may do with the text, and with the policy that it began with, a moment after the last change. */
export function useRights(yaml: string, source: string | undefined): Answer<ChangeRights> {
  const [answer, setAnswer] = useState<Answer<ChangeRights>>({ kind: "waiting" });
  const session = useSessionCount();
  // Whoever signs in again may have other rights.
  useEffect(() => {
    const stop = new AbortController();
    const path = `api/changes/rights?${new URLSearchParams({ key: source ?? "" })}`;
    const ask = (): void => void askBackend<ChangeRights>(path, { signal: stop.signal, body: yaml }).then(setAnswer, () => {});
    const timer = setTimeout(ask, askDelayMs);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [yaml, source, session]);
  return answer;
}
