import { Labels } from "@cilium-ts/labels";

/** Sets of labels that are kept; when full it starts again, for one costs little to make. */
const countMax = 65_536;

/** Labels of flows, which name the same few thousand sets again and again: the same object for the same texts. */
export class KnownLabels {
  readonly #byText = new Map<string, Labels>();

  parse(texts: readonly string[]): Labels {
    const key = texts.join("\n");
    let labels = this.#byText.get(key);
    if (labels === undefined) {
      if (this.#byText.size >= countMax) this.#byText.clear();
      labels = Labels.parse(texts);
      this.#byText.set(key, labels);
    }
    return labels;
  }
}
