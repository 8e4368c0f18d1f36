import { type FilterTerm, formatTerm, parseFilter } from "@cilium-ts/service-map/view";
import { type KeyboardEvent, type ReactNode, useId, useState } from "react";
import { usePage } from "../state/page.tsx";
import { suggestTerms } from "./suggestions.ts";

/** The filter: its terms as tags, and one that is being written, with what it may become. */
export function FilterInput(): ReactNode {
  const { address, go, store } = usePage();
  const { query } = address;
  const [text, setText] = useState("");
  const [problem, setProblem] = useState("");
  const [isOpen, setIsOpen] = useState(false);
  const [at, setAt] = useState(-1);
  const id = useId();
  const suggestions = isOpen ? suggestTerms(text, store.services.values(), store.flows) : [];

  const setTerms = (terms: readonly FilterTerm[]): void => go({ query: { ...query, terms } });
  const add = (written: string): unknown => {
    if (/[:=]$/.test(written)) return write(written);
    const parsed = parseFilter(written);
    if (parsed.kind === "problem") return setProblem(parsed.problem);
    write("");
    if (parsed.terms.length > 0) setTerms([...query.terms, ...parsed.terms]);
  };
  const write = (written: string): void => {
    setText(written);
    setProblem("");
    setIsOpen(true);
    setAt(-1);
  };
  const onKeyDown = (event: KeyboardEvent<HTMLInputElement>): void => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      setIsOpen(true);
      const step = event.key === "ArrowDown" ? 1 : -1;
      setAt((before) => (suggestions.length === 0 ? -1 : (before + step + suggestions.length) % suggestions.length));
    } else if (event.key === "Enter") {
      event.preventDefault();
      add(suggestions[at] ?? text);
    } else if (event.key === "Escape" && isOpen) {
      event.stopPropagation();
      setIsOpen(false);
    } else if (event.key === "Backspace" && text === "") setTerms(query.terms.slice(0, -1));
  };

  return (
    <div className="filter">
      <Tags terms={query.terms} onChange={setTerms} />
      <input
        id="filter"
        role="combobox"
        aria-label="Filter flows"
        aria-expanded={suggestions.length > 0}
        aria-controls={`${id}-list`}
        aria-autocomplete="list"
        aria-activedescendant={at >= 0 ? `${id}-${at}` : undefined}
        aria-invalid={problem !== ""}
        aria-describedby={`${id}-problem`}
        placeholder={query.terms.length === 0 ? "Filter: to:pod=default/server, !dns=*.example.com, …" : "and…"}
        autoComplete="off"
        spellCheck={false}
        value={text}
        onChange={(event) => write(event.target.value)}
        onFocus={() => setIsOpen(true)}
        onBlur={() => setIsOpen(false)}
        onKeyDown={onKeyDown}
      />
      <p id={`${id}-problem`} className="problem" role="status">
        {problem}
      </p>
      <Suggestions id={id} suggestions={suggestions} at={at} onChoose={add} />
    </div>
  );
}

function Tags({
  terms,
  onChange,
}: {
  readonly terms: readonly FilterTerm[];
  readonly onChange: (terms: readonly FilterTerm[]) => void;
}): ReactNode {
  return terms.map((term, index) => (
    <span key={formatTerm(term)} className={term.isNegative ? "tag negative" : "tag"}>
      {formatTerm(term)}
      <button
        type="button"
        aria-label={`Remove the filter ${formatTerm(term)}`}
        onClick={() => onChange(terms.filter((_, other) => other !== index))}
      >
        ×
      </button>
    </span>
  ));
}

interface SuggestionsProperties {
  readonly id: string;
  readonly suggestions: readonly string[];
  /** Which one the arrow keys are at; -1 for none. */
  readonly at: number;
  readonly onChoose: (suggestion: string) => void;
}

function Suggestions({ id, suggestions, at, onChoose }: SuggestionsProperties): ReactNode {
  return (
    <div id={`${id}-list`} role="listbox" aria-label="Suggestions" className="suggestions" hidden={suggestions.length === 0}>
      {suggestions.map((suggestion, index) => (
        <div
          key={suggestion}
          id={`${id}-${index}`}
          role="option"
          aria-selected={index === at}
          onPointerDown={(event) => event.preventDefault()}
          onClick={() => onChoose(suggestion)}
        >
          {suggestion}
        </div>
      ))}
    </div>
  );
}
