import { type ReactNode, useState } from "react";
import { Popover } from "../parts/popover.tsx";
import { usePage, useStore } from "../state/page.tsx";

const listedMax = 300;

/** One namespace, several, or all at once. */
export function NamespacePicker(): ReactNode {
  const { address, go } = usePage();
  const { namespaces } = useStore("state");
  const [search, setSearch] = useState("");
  const chosen = address.query.namespaces;
  const choose = (names: readonly string[]): void =>
    go({ query: { ...address.query, namespaces: names }, focus: undefined, selection: undefined });
  const label = chosen.length === 0 ? "All namespaces" : chosen.length <= 2 ? chosen.join(", ") : `${chosen.length} namespaces`;
  // Those of the address may be gone, or not have been seen yet.
  const known = new Map(namespaces.map((summary) => [summary.name, summary]));
  const names = [...new Set([...chosen, ...known.keys()])].sort().filter((name) => name.includes(search.trim()));
  return (
    <Popover label={label} name="Namespaces">
      <input
        type="search"
        aria-label="Search namespaces"
        placeholder="Search"
        value={search}
        onChange={(event) => setSearch(event.target.value)}
      />
      <button type="button" className="wide" disabled={chosen.length === 0} onClick={() => choose([])}>
        All namespaces
      </button>
      <ul className="choices">
        {names.slice(0, listedMax).map((name) => {
          const summary = known.get(name);
          const isChosen = chosen.includes(name);
          return (
            <li key={name}>
              <label>
                <input
                  type="checkbox"
                  checked={isChosen}
                  onChange={() => choose(isChosen ? chosen.filter((other) => other !== name) : [...chosen, name])}
                />
                <span className="grow">{name}</span>
                {summary === undefined || summary.isGone === true ? (
                  <small>{summary === undefined ? "no flows seen" : "deleted"}</small>
                ) : (
                  summary.drops > 0 && <small className="dropped">{summary.drops.toLocaleString()} drops</small>
                )}
              </label>
            </li>
          );
        })}
      </ul>
      {names.length === 0 && <p className="muted">No namespace has “{search}” in its name.</p>}
      {names.length > listedMax && <p className="muted">{names.length - listedMax} more: search for them.</p>}
    </Popover>
  );
}
