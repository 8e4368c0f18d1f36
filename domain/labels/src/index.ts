export {
  allLabelsForPod,
  clusterLabelKey,
  labelsForPod,
  namespaceLabelKey,
  namespaceMetaLabelPrefix,
  type PodLabelSources,
  serviceAccountLabelKey,
} from "./kubernetes-labels.ts";
export { formatLabel, type Label, parseLabel, parseSourcedKey } from "./label.ts";
export { defaultLabelFilter, LabelFilter, type LabelFilterRule } from "./label-filter.ts";
export { Labels } from "./labels.ts";
export { type Requirement, Selector, type SelectorOperator, type SelectorSpec } from "./selector.ts";
export { SelectorIndex } from "./selector-index.ts";
