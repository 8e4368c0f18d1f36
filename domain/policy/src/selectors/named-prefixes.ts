import { formatPrefix, type Prefix } from "@cilium-ts/net";
import { CountedTexts } from "./counted-texts.ts";

/** Prefixes that selectors name. The whole world has an identity already: it needs none of its own. */
export class NamedPrefixes {
  readonly texts = new CountedTexts();

  add(prefix: Prefix): void {
    if (prefix.length > 0) this.texts.add(formatPrefix(prefix));
  }

  remove(prefix: Prefix): void {
    if (prefix.length > 0) this.texts.remove(formatPrefix(prefix));
  }
}
