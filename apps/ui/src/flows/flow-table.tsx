import type { SeenFlow } from "@cilium-ts/service-map/view";
import { useVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, type ReactNode, useRef, useState } from "react";
import { Menu } from "../parts/menu.tsx";
import { Popover } from "../parts/popover.tsx";
import { saveFile } from "../parts/save-file.ts";
import { usePage, useStore } from "../state/page.tsx";
import { columns as allColumns, type Column, columnsOf, usualColumns } from "./columns.ts";
import { flowsToCsv, flowsToJsonLines } from "./export-flows.ts";

const rowHeight = 28;

/** Flows as they come, the newest first. */
export function FlowTable(): ReactNode {
  const { address } = usePage();
  const store = useStore("flows", "state");
  const [frozen, setFrozen] = useState<readonly SeenFlow[]>();
  const flows = frozen ?? store.flows;
  const shown = columnsOf(address.columns);
  const isRange = address.query.range !== undefined;
  const newCount = frozen === undefined ? 0 : newerThan(frozen, store.flows);
  return (
    <section className="flows" aria-label="Flows">
      <div className="flows-tools" role="toolbar" aria-label="Flows">
        {!isRange && (
          <button
            type="button"
            id="pause"
            aria-pressed={frozen !== undefined}
            onClick={() => setFrozen(frozen === undefined ? store.flows : undefined)}
          >
            {frozen === undefined ? "Pause" : `Resume${newCount > 0 ? ` (${newCount.toLocaleString()} new)` : ""}`}
          </button>
        )}
        <ColumnChooser shown={shown} />
        <Menu label="Export">
          <button
            type="button"
            role="menuitem"
            onClick={() => saveFile("flows.csv", new Blob([flowsToCsv(flows, shown)], { type: "text/csv" }))}
          >
            These flows as CSV
          </button>
          <button
            type="button"
            role="menuitem"
            onClick={() => saveFile("flows.jsonl", new Blob([flowsToJsonLines(flows)], { type: "application/jsonl" }))}
          >
            These flows as JSON lines
          </button>
        </Menu>
        <span className="muted grow" role="status">
          {flows.length.toLocaleString()} flows
          {store.skippedFlows > 0 && `, ${store.skippedFlows.toLocaleString()} more counted in the map only`}
        </span>
      </div>
      {flows.length === 0 ? <NoFlows /> : <Rows flows={flows} columns={shown} />}
    </section>
  );
}

function newerThan(frozen: readonly SeenFlow[], flows: readonly SeenFlow[]): number {
  const last = frozen.at(-1);
  const at = last === undefined ? -1 : flows.lastIndexOf(last);
  return flows.length - 1 - at;
}

function Rows({ flows, columns }: { readonly flows: readonly SeenFlow[]; readonly columns: readonly Column[] }): ReactNode {
  const { address, go } = usePage();
  const scroller = useRef<HTMLDivElement>(null);
  const virtualizer = useVirtualizer({
    count: flows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeight,
    overscan: 8,
  });
  const selected = address.selection?.kind === "flow" ? address.selection.uuid : undefined;
  const width = columns.reduce((sum, column) => sum + column.width, 0);
  const template = columns.map((column) => `minmax(${column.width}px, ${column.width}fr)`).join(" ");
  const select = ({ uuid, timeMs }: SeenFlow): void => go({ selection: { kind: "flow", uuid, timeMs } });
  const onKeyDown = (event: KeyboardEvent<HTMLDivElement>): void => {
    const row = (event.target as HTMLElement).closest<HTMLElement>("[role=row]");
    if (row === null) return;
    const sibling = event.key === "ArrowDown" ? row.nextElementSibling : event.key === "ArrowUp" ? row.previousElementSibling : null;
    if (sibling instanceof HTMLElement) {
      event.preventDefault();
      sibling.focus();
    }
  };
  return (
    <div ref={scroller} className="rows" role="grid" aria-label="Flows" aria-rowcount={flows.length} tabIndex={0} onKeyDown={onKeyDown}>
      <div role="row" className="row titles" style={{ gridTemplateColumns: template, minWidth: width }}>
        {columns.map(({ id, title }) => (
          <span key={id} role="columnheader">
            {title}
          </span>
        ))}
      </div>
      <div role="rowgroup" style={{ height: virtualizer.getTotalSize(), minWidth: width, position: "relative" }}>
        {virtualizer.getVirtualItems().map(({ index, start }) => {
          const flow = flows[flows.length - 1 - index];
          if (flow === undefined) return null;
          return (
            <div
              key={flow.uuid === "" ? index : flow.uuid}
              role="row"
              tabIndex={0}
              aria-rowindex={index + 1}
              data-uuid={flow.uuid}
              className={`row ${flow.verdict}${flow.uuid === selected ? " selected" : ""}`}
              style={{ gridTemplateColumns: template, transform: `translateY(${start}px)` }}
              onClick={() => select(flow)}
              onKeyDown={(event) => event.key === "Enter" && event.target === event.currentTarget && select(flow)}
            >
              {columns.map((column) => (
                <Cell key={column.id} column={column} flow={flow} />
              ))}
            </div>
          );
        })}
      </div>
    </div>
  );
}

function Cell({ column, flow }: { readonly column: Column; readonly flow: SeenFlow }): ReactNode {
  const { address, go } = usePage();
  const text = column.text(flow);
  const query = column.filter?.query(flow) ?? "";
  const { filter } = column;
  if (column.id === "verdict") return <VerdictCell verdict={flow.verdict} text={text} />;
  return (
    <span role="gridcell" title={text}>
      {text}
      {filter !== undefined && query !== "" && (
        <button
          type="button"
          tabIndex={-1}
          className="by-this"
          aria-label={`Filter by ${filter.side === "either" ? "" : `${filter.side}:`}${filter.kind}=${query}`}
          onClick={(event) => {
            event.stopPropagation();
            const term = { isNegative: false, side: filter.side, kind: filter.kind, query };
            go({ query: { ...address.query, terms: [...address.query.terms, term] } });
          }}
        >
          ⧩
        </button>
      )}
    </span>
  );
}

function VerdictCell({ verdict, text }: { readonly verdict: SeenFlow["verdict"]; readonly text: string }): ReactNode {
  const { address, go } = usePage();
  return (
    <span role="gridcell" title={text}>
      <span className={`verdict ${verdict}`}>{text}</span>
      <button
        type="button"
        tabIndex={-1}
        className="by-this"
        aria-label={`Only ${verdict}`}
        onClick={(event) => {
          event.stopPropagation();
          go({ query: { ...address.query, verdicts: [verdict] } });
        }}
      >
        ⧩
      </button>
    </span>
  );
}

function ColumnChooser({ shown }: { readonly shown: readonly Column[] }): ReactNode {
  const { go } = usePage();
  const ids = shown.map(({ id }) => id);
  const choose = (next: readonly string[]): void => go({ columns: next }, { isStep: false });
  return (
    <Popover label="Columns" name="Columns">
      <ul className="choices">
        {allColumns.map(({ id, title }) => (
          <li key={id}>
            <label>
              <input
                type="checkbox"
                checked={ids.includes(id)}
                onChange={() => choose(ids.includes(id) ? ids.filter((other) => other !== id) : [...ids, id])}
              />
              {title}
            </label>
          </li>
        ))}
      </ul>
      <button type="button" className="wide" onClick={() => choose(usualColumns)}>
        The usual ones
      </button>
    </Popover>
  );
}

/** Why the table is empty, and what to do about it. */
function NoFlows(): ReactNode {
  const { address, go, store } = usePage();
  const { query } = address;
  const isFiltered = query.terms.length + query.verdicts.length + query.namespaces.length > 0;
  if (!store.hasStarted) return <p className="empty">Waiting for the first answer…</p>;
  if (query.range !== undefined && !store.isComplete) return <p className="empty">Looking through the past…</p>;
  return (
    <div className="empty">
      <p>
        {query.range === undefined ? "No flow has been seen yet" : "Hubble has no flow of this time"}
        {isFiltered ? " that the filter lets through." : "."}
      </p>
      {isFiltered ? (
        <button type="button" onClick={() => go({ query: { ...query, terms: [], verdicts: [], namespaces: [] } })}>
          Show everything
        </button>
      ) : (
        <p className="muted">Flows show here as pods talk. `hubble observe` on a node tells whether Hubble sees any.</p>
      )}
    </div>
  );
}
