import { type FilterTerm, formatTerm } from "@cilium-ts/service-map/view";
import type { ReactNode } from "react";
import { usePage } from "../state/page.tsx";

/** A value that can be looked for. */
export function FilterValue({ term, children }: { readonly term: FilterTerm; readonly children: ReactNode }): ReactNode {
  const { address, go } = usePage();
  const add = (isNegative: boolean): void => go({ query: { ...address.query, terms: [...address.query.terms, { ...term, isNegative }] } });
  return (
    <span className="filter-value">
      <button type="button" className="link" title={`Filter by ${formatTerm(term)}`} onClick={() => add(false)}>
        {children}
      </button>
      <button type="button" className="not" aria-label={`Leave out ${formatTerm(term)}`} title="Leave out" onClick={() => add(true)}>
        −
      </button>
    </span>
  );
}
