import { verdictKinds } from "@cilium-ts/service-map/view";
import type { ReactNode } from "react";
import { Popover } from "../parts/popover.tsx";
import { usePage } from "../state/page.tsx";

export function VerdictPicker(): ReactNode {
  const { address, go } = usePage();
  const { verdicts } = address.query;
  const label = verdicts.length === 0 ? "Any verdict" : verdicts.join(", ");
  return (
    <Popover label={label} name="Verdicts">
      <ul className="choices">
        {verdictKinds.map((kind) => {
          const isChosen = verdicts.includes(kind);
          const next = verdictKinds.filter((other) => (other === kind ? !isChosen : verdicts.includes(other)));
          return (
            <li key={kind}>
              <label>
                <input type="checkbox" checked={isChosen} onChange={() => go({ query: { ...address.query, verdicts: next } })} />
                <span className={`verdict ${kind}`}>{kind}</span>
              </label>
            </li>
          );
        })}
      </ul>
    </Popover>
  );
}
