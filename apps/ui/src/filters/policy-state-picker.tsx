import { policyStates } from "@cilium-ts/service-map/view";
import type { ReactNode } from "react";
import { PolicyMark } from "../map/policy-mark.tsx";
import { policyMeanings } from "../map/policy-marks.ts";
import { Popover } from "../parts/popover.tsx";
import { usePage } from "../state/page.tsx";

/** Which services are shown, by what policies mean for them: those that nothing protects, say. Flows are all shown. */
export function PolicyStatePicker(): ReactNode {
  const { address, go } = usePage();
  const chosen = address.policyStates;
  const label = chosen.length === 0 ? "Any policy" : chosen.map((state) => policyMeanings[state]).join(", ");
  return (
    <Popover label={label} name="Policy of services">
      <ul className="choices">
        {policyStates.map((state) => {
          const isChosen = chosen.includes(state);
          const next = policyStates.filter((other) => (other === state ? !isChosen : chosen.includes(other)));
          return (
            <li key={state}>
              <label>
                <input type="checkbox" checked={isChosen} onChange={() => go({ policyStates: next })} />
                <PolicyMark state={state} /> {policyMeanings[state]}
              </label>
            </li>
          );
        })}
      </ul>
      <p className="muted">Services of which a direction is so, and whom they talk with.</p>
    </Popover>
  );
}
