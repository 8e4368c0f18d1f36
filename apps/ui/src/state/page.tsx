import { createContext, type ReactNode, useContext, useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { type Address, emptyAddress, formatAddress, parseAddress } from "./address.ts";
import { readStream } from "./read-stream.ts";
import { type StorePart, ViewStore } from "./view-store.ts";

/** What all parts of the page share. */
export interface Page {
  readonly store: ViewStore;
  readonly address: Address;
  /** What was wrong with the address when the page was opened. */
  readonly problems: readonly string[];
  /** Goes to another address; with `isStep` the browser's Back returns from there. */
  go(changes: Partial<Address>, options?: { readonly isStep: boolean }): void;
  /** Asks the backend again, after it refused. */
  retry(): void;
  dismissProblems(): void;
}

const PageContext = createContext<Page | undefined>(undefined);

export function usePage(): Page {
  const page = useContext(PageContext);
  if (page === undefined) throw new Error("usePage is called outside of PageProvider");
  return page;
}

/** Draws again when one of these parts of the store changed. */
export function useStore(...parts: readonly StorePart[]): ViewStore {
  const { store } = usePage();
  useSyncExternalStore(store.subscribe, () => parts.map((part) => store.revisions[part]).join());
  return store;
}

export function PageProvider({ children }: { readonly children: ReactNode }): ReactNode {
  const [store] = useState(() => new ViewStore((tell) => void requestAnimationFrame(tell)));
  const [{ address, problems }, setState] = useState(() => parseAddress(location.search));
  const [attempt, setAttempt] = useState(0);
  const question = formatAddress({ ...emptyAddress, query: address.query });

  useEffect(() => {
    const onPop = (): void => setState(parseAddress(location.search));
    addEventListener("popstate", onPop);
    return () => removeEventListener("popstate", onPop);
  }, []);

  // The question stands for the query, and an attempt asks it anew.
  useEffect(() => {
    const stop = new AbortController();
    store.reset();
    void readStream(store, address.query, fetch.bind(globalThis), stop.signal);
    return () => stop.abort();
  }, [store, question, attempt]);

  const page = useMemo<Page>(
    () => ({
      store,
      address,
      problems,
      go(changes, { isStep } = { isStep: true }) {
        const next = { ...address, ...changes };
        const url = `${location.pathname}${formatAddress(next)}`;
        if (isStep) history.pushState(null, "", url);
        else history.replaceState(null, "", url);
        setState((state) => ({ ...state, address: next }));
      },
      retry: () => setAttempt((count) => count + 1),
      dismissProblems: () => setState((state) => ({ ...state, problems: [] })),
    }),
    [store, address, problems],
  );
  return <PageContext value={page}>{children}</PageContext>;
}
