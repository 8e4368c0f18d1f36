import type { Who } from "@cilium-ts/service-map/view";
import { useEffect, useState } from "react";
import { type LostSession, lostEvent } from "../state/lost-session.ts";

const foundEvent = "hubble-ui-session-found";
const askAgainMs = 5_000;

/** Why the backend does not know the user any more, and where to sign in; undefined while it does. The way back may be another tab. */
export function useLostSession(onFound: () => void): LostSession | undefined {
  const [lost, setLost] = useState<LostSession>();
  useEffect(() => {
    const onLost = (event: Event): void => setLost((event as CustomEvent<LostSession>).detail);
    addEventListener(lostEvent, onLost);
    return () => removeEventListener(lostEvent, onLost);
  }, []);
  useEffect(() => {
    if (lost === undefined) return;
    const stop = new AbortController();
    const ask = async (): Promise<void> => {
      // Not by askBackend: that the session is lost is known.
      const response = await fetch("api/who", { signal: stop.signal }).catch(() => undefined);
      if (response?.ok !== true || stop.signal.aborted) return;
      setLost(undefined);
      dispatchEvent(new Event(foundEvent));
      onFound();
    };
    const timer = setInterval(() => void ask(), askAgainMs);
    const onFocus = (): void => void ask();
    addEventListener("focus", onFocus);
    return () => {
      clearInterval(timer);
      removeEventListener("focus", onFocus);
      stop.abort();
    };
  }, [lost, onFound]);
  return lost;
}

/** Grows when the user has signed in again: what was refused meanwhile is to be asked anew. */
export function useSessionCount(): number {
  const [count, setCount] = useState(0);
  useEffect(() => {
    const onFound = (): void => setCount((before) => before + 1);
    addEventListener(foundEvent, onFound);
    return () => removeEventListener(foundEvent, onFound);
  }, []);
  return count;
}

/** Undefined until it is known. */
export function useWho(): Who | undefined {
  const [who, setWho] = useState<Who>();
  const count = useSessionCount();
  useEffect(() => {
    const stop = new AbortController();
    void fetch("api/who", { signal: stop.signal })
      .then(async (response) => setWho(response.ok ? ((await response.json()) as Who) : undefined))
      .catch(() => undefined);
    return () => stop.abort();
  }, [count]);
  return who;
}
