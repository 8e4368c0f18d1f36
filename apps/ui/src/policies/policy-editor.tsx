import type { PolicyProblem, WhatIfAnswer } from "@cilium-ts/service-map/view";
import { type ReactNode, useEffect, useState } from "react";
import { ChangePolicy } from "../changes/change-policy.tsx";
import { saveFile } from "../parts/save-file.ts";
import { useSessionCount } from "../sign-in/use-session.ts";
import { type Answer, askBackend } from "../state/ask-backend.ts";
import { readPreference, writePreference } from "../state/preferences.ts";
import { PolicyText } from "./editor/policy-text.tsx";
import { SuggestButton } from "./suggest-button.tsx";
import { WhatIf } from "./what-if.tsx";

const checkDelayMs = 300;
const none: readonly PolicyProblem[] = [];

function isText(value: unknown): value is string {
  return typeof value === "string";
}

interface PolicyEditorProps {
  readonly initial: string;
  readonly source: string | undefined;
  /** Of the policy as it was read; 0 for a new one. */
  readonly generation: number;
  readonly onApplied: (keys: readonly string[]) => void;
  readonly onDeleted: () => void;
}

function isNumber(value: unknown): value is number {
  return typeof value === "number";
}

/** A policy as text, what is wrong with it, and what it would do to flows that were recorded. What was written is kept in this browser. */
export function PolicyEditor({ initial, source, generation, onApplied, onDeleted }: PolicyEditorProps): ReactNode {
  const draft = useDraft({ initial, source, generation });
  const { yaml } = draft;
  const [notes, setNotes] = useState<readonly string[]>([]);
  const [whatIf, setWhatIf] = useState<Answer<WhatIfAnswer>>();
  const [goTo, setGoTo] = useState<PolicyProblem>();
  const problems = useProblems(yaml);
  const write = (text: string): void => {
    setWhatIf(undefined);
    draft.write(text);
  };
  const replay = async (minutes: number, isDeletion: boolean): Promise<void> => {
    setWhatIf({ kind: "waiting" });
    const parameters = new URLSearchParams({ minutes: String(minutes) });
    if (isDeletion && source !== undefined) parameters.append("delete", source);
    const body = isDeletion ? "" : yaml;
    const answer = askBackend<WhatIfAnswer>(`api/policies/what-if?${parameters}`, { signal: AbortSignal.timeout(90_000), body });
    setWhatIf(await answer.catch((): Answer<WhatIfAnswer> => ({ kind: "problem", problem: "there was no answer in time" })));
  };
  return (
    <section className="editor" aria-label="Policy">
      <div className="actions">
        <strong className="grow">{source ?? "A new policy"}</strong>
        {yaml !== initial && (
          <button type="button" onClick={() => write(initial)}>
            Undo all changes
          </button>
        )}
        <button
          type="button"
          disabled={yaml.trim() === ""}
          onClick={() => saveFile("policy.yaml", new Blob([yaml], { type: "application/yaml" }))}
        >
          Save as a file
        </button>
        {source === undefined && (
          <SuggestButton
            onSuggested={(text, said) => {
              write(text);
              setNotes(said);
            }}
          />
        )}
      </div>
      <PolicyText yaml={yaml} problems={problems.kind === "answer" ? problems.value : none} goTo={goTo} onChange={write} />
      <Problems problems={problems} onGo={(problem) => setGoTo({ ...problem })} />
      {notes.length > 0 && <p className="muted">{notes.join("; ")}</p>}
      <ReplayButtons hasText={yaml.trim() !== ""} isExisting={source !== undefined} onReplay={(...asked) => void replay(...asked)} />
      {whatIf !== undefined && <WhatIf answer={whatIf} />}
      <ChangePolicy
        yaml={yaml}
        source={source === undefined ? undefined : { key: source, generation: draft.began }}
        hasErrors={problems.kind === "answer" && problems.value.some(({ severity }) => severity === "error")}
        onApplied={(keys) => {
          draft.forget();
          onApplied(keys);
        }}
        onDeleted={() => {
          draft.forget();
          onDeleted();
        }}
      />
    </section>
  );
}

function ReplayButtons({
  hasText,
  isExisting,
  onReplay,
}: {
  readonly hasText: boolean;
  readonly isExisting: boolean;
  readonly onReplay: (minutes: number, isDeletion: boolean) => void;
}): ReactNode {
  return (
    <div className="actions">
      <span>What if this were applied?</span>
      {[15, 60, 1_440].map((minutes) => (
        <button key={minutes} type="button" disabled={!hasText} onClick={() => onReplay(minutes, false)}>
          Replay {minutes < 60 ? `${minutes} minutes` : minutes === 60 ? "an hour" : "a day"}
        </button>
      ))}
      {isExisting && (
        <button type="button" onClick={() => onReplay(60, true)}>
          What if it were deleted?
        </button>
      )}
    </div>
  );
}

interface Draft {
  readonly yaml: string;
  /** The generation of the policy that the text began with. */
  readonly began: number;
  write(text: string): void;
  /** It is in the cluster now, or of no more use. */
  forget(): void;
}

/** What is written is kept in this browser, with what it began with: that may have changed until the page is opened again. */
function useDraft({ initial, source, generation }: Pick<PolicyEditorProps, "initial" | "source" | "generation">): Draft {
  const textName = `draft-${source ?? "new"}`;
  const beganName = `${textName}-began`;
  const [yaml, setYaml] = useState(() => readPreference(textName, isText) ?? initial);
  const [began, setBegan] = useState(() => readPreference(beganName, isNumber) ?? generation);
  return {
    yaml,
    began,
    write(text) {
      setYaml(text);
      writePreference(textName, text === initial ? null : text);
      writePreference(beganName, text === initial ? null : began);
      if (text === initial) setBegan(generation);
    },
    forget() {
      for (const name of [textName, beganName]) writePreference(name, null);
    },
  };
}

/** What the backend finds, a moment after the last change. */
function useProblems(yaml: string): Answer<readonly PolicyProblem[]> {
  const [answer, setAnswer] = useState<Answer<readonly PolicyProblem[]>>({ kind: "answer", value: [] });
  const session = useSessionCount();
  useEffect(() => {
    const stop = new AbortController();
    if (yaml.trim() === "") {
      setAnswer({ kind: "answer", value: [] });
      return;
    }
    const ask = (): void =>
      void askBackend<readonly PolicyProblem[]>("api/policies/check", { signal: stop.signal, body: yaml }).then(setAnswer, () => {});
    const timer = setTimeout(ask, checkDelayMs);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [yaml, session]);
  return answer;
}

function Problems({
  problems,
  onGo,
}: {
  readonly problems: Answer<readonly PolicyProblem[]>;
  readonly onGo: (problem: PolicyProblem) => void;
}): ReactNode {
  if (problems.kind === "waiting") return null;
  if (problems.kind === "problem") return <p className="problem">It cannot be checked: {problems.problem}.</p>;
  return (
    <ul className="findings" aria-label="Problems" aria-live="polite">
      {problems.value.map((problem) => (
        <li key={`${problem.line} ${problem.column} ${problem.message}`} className={problem.severity}>
          <button type="button" className="link" onClick={() => onGo(problem)}>
            {problem.severity}, line {problem.line}
          </button>{" "}
          {problem.path !== "" && <code>{problem.path}</code>} {problem.message}
        </li>
      ))}
    </ul>
  );
}
