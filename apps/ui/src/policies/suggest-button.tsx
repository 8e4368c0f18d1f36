import { type ReactNode, useState } from "react";
import { askBackend } from "../state/ask-backend.ts";
import { usePage, useStore } from "../state/page.tsx";

/** Asks for the policies that a namespace's flows need. */
export function SuggestButton({ onSuggested }: { readonly onSuggested: (yaml: string, notes: readonly string[]) => void }): ReactNode {
  const { address } = usePage();
  const store = useStore("state");
  const [problem, setProblem] = useState("");
  const [isBusy, setIsBusy] = useState(false);
  const names = address.query.namespaces.length > 0 ? address.query.namespaces : store.namespaces.map(({ name }) => name);
  const [chosen, setChosen] = useState("");
  // Which there are may be learned after the page was opened.
  const namespace = names.includes(chosen) ? chosen : (names[0] ?? "");
  const suggest = async (): Promise<void> => {
    setIsBusy(true);
    const path = `api/policies/suggest?${new URLSearchParams({ namespace, minutes: "60" })}`;
    const answer = await askBackend<{ yaml: string; notes: string[] }>(path, { signal: AbortSignal.timeout(90_000) }).catch(
      () => undefined,
    );
    setIsBusy(false);
    if (answer?.kind === "answer") onSuggested(answer.value.yaml, answer.value.notes);
    setProblem(answer === undefined ? "There was no answer in time." : answer.kind === "problem" ? answer.problem : "");
  };
  return (
    <span className="suggest">
      <select aria-label="Namespace to suggest for" value={namespace} onChange={(event) => setChosen(event.target.value)}>
        {names.map((name) => (
          <option key={name}>{name}</option>
        ))}
      </select>
      <button type="button" disabled={isBusy || namespace === ""} onClick={() => void suggest()}>
        {isBusy ? "Looking at the last hour…" : "Suggest from flows"}
      </button>
      <span className="problem" role="status">
        {problem}
      </span>
    </span>
  );
}
