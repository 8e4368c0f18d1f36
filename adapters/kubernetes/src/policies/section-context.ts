import type { FieldReader } from "./object-fields.ts";
import type { SelectorScope } from "./selector-scope.ts";

export const sectionNames = ["ingress", "ingressDeny", "egress", "egressDeny"] as const;
export type SectionName = (typeof sectionNames)[number];

export interface SectionContext extends SelectorScope {
  readonly reader: FieldReader;
  readonly nodeSelectorLabels: boolean;
}
