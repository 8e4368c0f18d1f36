import { type FormEvent, type ReactNode, useState } from "react";
import { Popover } from "../parts/popover.tsx";
import { formatAddress, parseAddress } from "../state/address.ts";
import { usePage } from "../state/page.tsx";
import { readPreference, writePreference } from "../state/preferences.ts";

interface SavedFilter {
  readonly name: string;
  /** As in the page's address. */
  readonly search: string;
}

const savedMax = 50;

function isSavedList(value: unknown): value is readonly SavedFilter[] {
  return Array.isArray(value) && value.every((entry) => typeof entry?.name === "string" && typeof entry?.search === "string");
}

/** Questions that people ask again. They are kept in this browser. */
export function SavedFilters(): ReactNode {
  const { address, go } = usePage();
  const [saved, setSaved] = useState<readonly SavedFilter[]>(() => readPreference("saved-filters", isSavedList) ?? []);
  const [problem, setProblem] = useState("");
  const keep = (next: readonly SavedFilter[]): void => {
    setSaved(next);
    setProblem(
      writePreference("saved-filters", next) ? "" : "This browser keeps nothing for this page: the list lasts until it is closed.",
    );
  };
  const onSubmit = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const name = String(new FormData(event.currentTarget).get("name")).trim();
    const refusal = name === "" ? "A name is needed." : saved.length >= savedMax ? `${savedMax} are kept: remove one first.` : "";
    setProblem(refusal);
    if (refusal !== "") return;
    const search = formatAddress({ ...address, selection: undefined });
    keep([...saved.filter((other) => other.name !== name), { name, search }]);
    event.currentTarget.reset();
  };
  return (
    <Popover label="Saved" name="Saved filters">
      <ul className="choices">
        {saved.map(({ name, search }) => (
          <li key={name}>
            <button type="button" className="grow link" onClick={() => go(parseAddress(search).address)}>
              {name}
            </button>
            <button type="button" aria-label={`Forget ${name}`} onClick={() => keep(saved.filter((other) => other.name !== name))}>
              ×
            </button>
          </li>
        ))}
      </ul>
      {saved.length === 0 && <p className="muted">Nothing is saved yet.</p>}
      <form onSubmit={onSubmit}>
        <label>
          Save this as <input name="name" maxLength={80} />
        </label>
        <button type="submit" className="wide">
          Save
        </button>
        <p className="problem" role="status">
          {problem}
        </p>
      </form>
    </Popover>
  );
}
