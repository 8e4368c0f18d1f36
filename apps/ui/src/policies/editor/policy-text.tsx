import type { PolicyProblem, PolicySchema } from "@cilium-ts/service-map/view";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { type Answer, askBackend } from "../../state/ask-backend.ts";
import type { TextEditor } from "./open-editor.ts";

export interface PolicyTextProperties {
  readonly yaml: string;
  readonly problems: readonly PolicyProblem[];
  /** Goes there whenever it is another object. */
  readonly goTo: PolicyProblem | undefined;
  onChange(yaml: string): void;
}

const label = "Policy as YAML";

/**
 * The text of a policy. The editor is loaded when it is needed; until then, and where it cannot be loaded, as in an old tab after an upgrade, the same text is in
 * a plain field, and nothing that was typed is lost.
 */
export function PolicyText({ yaml, problems, goTo, onChange }: PolicyTextProperties): ReactNode {
  const place = useRef<HTMLDivElement>(null);
  const area = useRef<HTMLTextAreaElement>(null);
  const editor = useRef<TextEditor>(undefined);
  const [isOpen, setIsOpen] = useState(false);
  const [failure, setFailure] = useState("");
  const latest = useRef({ yaml, onChange });
  latest.current = { yaml, onChange };

  useEffect(() => {
    const stop = new AbortController();
    void openInto(stop.signal).catch((cause: unknown) => {
      if (!stop.signal.aborted) setFailure(cause instanceof Error ? cause.message : String(cause));
    });
    return () => {
      stop.abort();
      editor.current?.close();
      editor.current = undefined;
    };

    async function openInto(signal: AbortSignal): Promise<void> {
      const { openEditor } = await import("./open-editor.ts");
      if (signal.aborted || place.current === null) return;
      const schemas = readSchemas(signal);
      let known: readonly PolicySchema[] = [];
      void schemas.then((answer) => {
        if (answer?.kind === "answer") known = answer.value;
      });
      // Who has begun to type goes on where the cursor stands.
      const typing = document.activeElement === area.current ? area.current : null;
      editor.current = openEditor({
        parent: place.current,
        text: latest.current.yaml,
        label,
        describedBy: "policy-text-keys",
        onChange: (text) => latest.current.onChange(text),
        schemas: () => known,
      });
      setIsOpen(true);
      if (typing !== null) editor.current.select(typing.selectionStart, typing.selectionEnd);
    }
  }, []);
  useEffect(() => editor.current?.setText(yaml), [yaml]);
  useEffect(() => editor.current?.setProblems(problems), [problems, isOpen]);
  useEffect(() => {
    if (goTo === undefined) return;
    if (editor.current !== undefined) editor.current.goTo(goTo.line, goTo.column);
    else goToIn(area.current, goTo);
  }, [goTo]);

  return (
    <>
      <div ref={place} className="policy-text" hidden={!isOpen} />
      {!isOpen && (
        <textarea ref={area} aria-label={label} spellCheck={false} value={yaml} onChange={(event) => onChange(event.target.value)} />
      )}
      <p id="policy-text-keys" className="muted">
        {failure === ""
          ? "Ctrl-Space completes, F8 goes to the next problem, Tab indents; Escape and then Tab leaves the text."
          : `Completion could not be loaded (${failure}): load the page again for it. What was written is kept.`}
      </p>
    </>
  );
}

/** Undefined when it is too late. Without them there is no completion; why that is, the list of problems says. */
function readSchemas(signal: AbortSignal): Promise<Answer<readonly PolicySchema[]> | undefined> {
  return askBackend<readonly PolicySchema[]>("api/policies/schemas", { signal }).catch(() => undefined);
}

function goToIn(area: HTMLTextAreaElement | null, { line, column }: PolicyProblem): void {
  if (area === null) return;
  const before = area.value.split("\n").slice(0, line - 1);
  const at = before.reduce((sum, text) => sum + text.length + 1, 0) + column - 1;
  area.focus();
  area.setSelectionRange(at, at);
}
