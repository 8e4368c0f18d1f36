import { policyStates } from "@cilium-ts/service-map/view";
import type { ReactNode } from "react";
import { dashes, lineWidths } from "./draw.ts";
import type { PairState } from "./pairs.ts";
import { PolicyMark } from "./policy-mark.tsx";
import { policyMeanings } from "./policy-marks.ts";

const meanings: readonly (readonly [PairState, string])[] = [
  ["forwarded", "forwarded"],
  ["dropped", "dropped"],
  ["mixed", "some dropped"],
  ["audit", "would be dropped (audit)"],
];

/** What the lines mean, and the marks on cards where there are any. */
export function Legend({ hasPolicies }: { readonly hasPolicies: boolean }): ReactNode {
  return (
    <ul className="legend" aria-label="What lines and marks mean">
      {meanings.map(([state, meaning]) => (
        <li key={state}>
          <LineSample state={state} /> {meaning}
        </li>
      ))}
      {hasPolicies &&
        [...policyStates].reverse().map((state) => (
          <li key={state}>
            <PolicyMark state={state} /> {policyMeanings[state]}
          </li>
        ))}
    </ul>
  );
}

export function LineSample({ state }: { readonly state: PairState }): ReactNode {
  return (
    <svg width="30" height="8" aria-hidden="true">
      <line
        x1="0"
        y1="4"
        x2="30"
        y2="4"
        stroke={`var(--state-${state})`}
        strokeWidth={lineWidths[state] + 0.5}
        strokeDasharray={dashes[state].join(" ")}
      />
    </svg>
  );
}
