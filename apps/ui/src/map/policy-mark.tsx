import type { PolicyState, ServicePolicy } from "@cilium-ts/service-map/view";
import type { ReactNode } from "react";
import { policyDirections, policyFills, policyMeanings, policyRing } from "./policy-marks.ts";

export function PolicyMark({ state }: { readonly state: PolicyState }): ReactNode {
  return (
    <svg className={`policy-mark ${state}`} width="14" height="14" viewBox="-7 -7 14 14" aria-hidden="true">
      <path d={policyRing} fill="none" stroke="currentColor" strokeWidth="1.6" />
      <path d={policyFills[state]} fill="currentColor" />
    </svg>
  );
}

export function PolicyMarks({ policy }: { readonly policy: ServicePolicy }): ReactNode {
  return policyDirections.map(({ direction, text }) => (
    <span key={direction} className="policy-state" title={`${direction}: ${policyMeanings[policy[direction]]}`}>
      <PolicyMark state={policy[direction]} /> {text} <span className="visually-hidden">{policyMeanings[policy[direction]]}</span>
    </span>
  ));
}
