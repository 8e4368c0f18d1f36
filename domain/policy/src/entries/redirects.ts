import type { Statement } from "../rules/compiled-rule.ts";
import { type Layer7, mergeLayer7, type Redirect } from "../rules/layer7.ts";

const rememberedMax = 4096;

/** Redirects of a direction, each merged once: thousands of identities share one. */
export class Redirects {
  readonly #numbers = new WeakMap<Layer7, number>();
  readonly #known = new Map<string, Redirect | undefined>();
  #next = 1;

  /** `lenient`: statements that are only audited want no proxy. */
  of(allowing: readonly Statement[], lenient: boolean): Redirect | undefined {
    const wanted = allowing.map(({ rule, layer7 }) => (lenient && rule.audit ? undefined : layer7));
    if (wanted.every((layer7) => layer7 === undefined)) return undefined;
    const key = wanted.map((layer7) => (layer7 === undefined ? 0 : this.#numberOf(layer7))).join(" ");
    if (this.#known.has(key)) return this.#known.get(key);
    const redirect = mergeLayer7(wanted);
    if (this.#known.size >= rememberedMax) this.#known.clear();
    this.#known.set(key, redirect);
    return redirect;
  }

  #numberOf(layer7: Layer7): number {
    let number = this.#numbers.get(layer7);
    if (number === undefined) {
      number = this.#next;
      this.#next += 1;
      this.#numbers.set(layer7, number);
    }
    return number;
  }
}
