import type { Label } from "./label.ts";
import type { Labels } from "./labels.ts";

/** A pattern that takes labels into an identity or keeps them out. */
export interface LabelFilterRule {
  readonly include: boolean;
  /** Undefined: of every source. */
  readonly source?: string;
  /** Must match from the start of the key. */
  readonly expression: RegExp;
}

/**
 * Which labels make an identity. Labels that change often (hashes, generations, indexes) would give every pod an identity of its own.
 *
 * The longest match of all rules decides; a label that no rule matches is taken.
 */
export class LabelFilter {
  readonly #rules: readonly LabelFilterRule[];

  constructor(rules: readonly LabelFilterRule[]) {
    this.#rules = rules;
  }

  apply(labels: Labels): Labels {
    return labels.filter((label) => this.accepts(label));
  }

  accepts(label: Label): boolean {
    let included = 0;
    let excluded = 0;
    for (const { include, source, expression } of this.#rules) {
      if (source !== undefined && source !== label.source) continue;
      const match = expression.exec(label.key);
      if (match === null || match.index !== 0) continue;
      if (include) included = Math.max(included, match[0].length);
      else excluded = Math.max(excluded, match[0].length);
    }
    return excluded === 0 || included > excluded;
  }
}

const include = (expression: RegExp, source?: string): LabelFilterRule =>
  source === undefined ? { include: true, expression } : { include: true, source, expression };
const exclude = (expression: RegExp): LabelFilterRule => ({ include: false, expression });

/** Cilium's default list (`--labels` unset). */
export const defaultLabelFilter = new LabelFilter([
  include(/.*/, "reserved"),
  include(/io\.kubernetes\.pod\.namespace/),
  include(/io\.cilium\.k8s\.namespace\.labels/),
  include(/io\.cilium\.k8s\.policy\.cluster/),
  include(/io\.cilium\.k8s\.policy\.serviceaccount/),
  include(/app\.kubernetes\.io/),
  exclude(/io\.kubernetes/),
  exclude(/kubernetes\.io/),
  exclude(/.*beta\.kubernetes\.io/),
  exclude(/k8s\.io/),
  exclude(/pod-template-generation/),
  exclude(/pod-template-hash/),
  exclude(/controller-revision-hash/),
  exclude(/controller-uid/),
  exclude(/statefulset\.kubernetes\.io\/pod-name/),
  exclude(/apps\.kubernetes\.io\/pod-index/),
  exclude(/batch\.kubernetes\.io\/(controller-uid|job-completion-index|job-name)/),
  exclude(/job-name/),
  exclude(/annotation.*/),
  exclude(/etcd_node/),
]);
