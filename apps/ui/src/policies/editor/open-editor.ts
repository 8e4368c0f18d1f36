import type { PolicyProblem, PolicySchema } from "@cilium-ts/service-map/view";
import { autocompletion, type Completion, type CompletionContext, type CompletionResult, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { bracketMatching, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { type Diagnostic, lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { EditorState } from "@codemirror/state";
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  hoverTooltip,
  keymap,
  lineNumbers,
  type Tooltip,
} from "@codemirror/view";
import { classHighlighter } from "@lezer/highlight";
import { choicesAt, type FieldChoice, fieldAt, fieldTypeText } from "./policy-fields.ts";
import { yamlKeyAt, yamlPlaceAt } from "./yaml-place.ts";

export interface EditorOptions {
  readonly parent: HTMLElement;
  readonly text: string;
  readonly label: string;
  /** Id of what describes the editor's keys. */
  readonly describedBy: string;
  /** By the user, never by `setText`. */
  onChange(text: string): void;
  /** None until they are known. */
  schemas(): readonly PolicySchema[];
}

export interface TextEditor {
  setText(text: string): void;
  setProblems(problems: readonly PolicyProblem[]): void;
  /** From 1. */
  goTo(line: number, column: number): void;
  /** Offsets into the text. */
  select(from: number, to: number): void;
  close(): void;
}

/** Text of YAML in CodeMirror: Tab indents, and after Escape it leaves. */
export function openEditor({ parent, text, label, describedBy, onChange, schemas }: EditorOptions): TextEditor {
  let isOurs = false;
  const view = new EditorView({
    parent,
    state: EditorState.create({
      doc: text,
      extensions: [
        lineNumbers(),
        highlightActiveLine(),
        highlightActiveLineGutter(),
        history(),
        drawSelection(),
        indentOnInput(),
        indentUnit.of("  "),
        bracketMatching(),
        lintGutter(),
        yaml(),
        syntaxHighlighting(classHighlighter),
        autocompletion({ override: [(context) => complete(context, schemas())], icons: false, maxRenderedOptions: 80 }),
        hoverTooltip((editor, offset) => describeKey(editor, offset, schemas())),
        keymap.of([...completionKeymap, ...lintKeymap, ...defaultKeymap, ...historyKeymap, indentWithTab]),
        EditorView.contentAttributes.of({ "aria-label": label, "aria-describedby": describedBy, spellcheck: "false" }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged && !isOurs) onChange(update.state.doc.toString());
        }),
      ],
    }),
  });
  return {
    setText(next) {
      if (view.state.doc.toString() === next) return;
      isOurs = true;
      view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: next } });
      isOurs = false;
    },
    setProblems: (problems) => view.dispatch(setDiagnostics(view.state, diagnosticsOf(view.state, problems))),
    goTo(line, column) {
      const { from, to } = view.state.doc.line(Math.min(Math.max(1, line), view.state.doc.lines));
      view.dispatch({ selection: { anchor: Math.min(from + column - 1, to) }, scrollIntoView: true });
      view.focus();
    },
    select(from, to) {
      const { length } = view.state.doc;
      view.dispatch({ selection: { anchor: Math.min(from, length), head: Math.min(to, length) } });
      view.focus();
    },
    close: () => view.destroy(),
  };
}

/** A problem marks the word at which it begins. */
function diagnosticsOf({ doc }: EditorState, problems: readonly PolicyProblem[]): Diagnostic[] {
  return problems.map(({ severity, line, column, path, message }) => {
    const { from: start, to: end, text } = doc.line(Math.min(Math.max(1, line), doc.lines));
    const from = Math.min(start + column - 1, end);
    const [word = ""] = /^[^\s:]*/.exec(text.slice(from - start)) ?? [];
    return {
      severity,
      from,
      to: Math.max(from, Math.min(from + word.length, end)),
      message: path === "" ? message : `${path}: ${message}`,
    };
  });
}

function complete({ state, pos, explicit }: CompletionContext, schemas: readonly PolicySchema[]): CompletionResult | null {
  const place = yamlPlaceAt(state.doc.toString(), pos);
  if (place === undefined) return null;
  // On an empty line of a map they help; in an empty document they would be in the way until asked for.
  const isWanted = explicit || place.prefix !== "" || place.path.length > 0 || place.at === "value";
  const choices = isWanted ? choicesAt(place, schemas) : [];
  if (choices.length === 0) return null;
  const indent = " ".repeat(place.indent);
  return { from: place.from, options: choices.map((choice) => completionOf(choice, indent)), validFor: /^[\w./-]*$/ };
}

function completionOf({ text, what, detail, description, insert }: FieldChoice, indent: string): Completion {
  return {
    label: text,
    detail,
    type: what,
    boost: what === "policy" ? 10 : detail.endsWith("required") ? 1 : 0,
    apply: insert.replaceAll("\n", `\n${indent}`),
    ...(description === "" ? {} : { info: description }),
  };
}

function describeKey({ state }: EditorView, offset: number, schemas: readonly PolicySchema[]): Tooltip | null {
  const place = yamlKeyAt(state.doc.toString(), offset);
  const map = place === undefined ? undefined : fieldAt(place, schemas);
  const field = map?.properties?.[place?.key ?? ""];
  if (place === undefined || field === undefined) return null;
  return {
    pos: place.from,
    end: place.to,
    create() {
      const dom = document.createElement("div");
      dom.className = "field-help";
      const title = document.createElement("strong");
      title.textContent = `${place.key}: ${fieldTypeText(field)}`;
      const meaning = document.createElement("p");
      meaning.textContent = field.description ?? "";
      dom.append(title, meaning);
      return { dom };
    },
  };
}
