import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Clock } from "@cilium-ts/std";
import { EncryptJWT, type JWTPayload, jwtDecrypt } from "jose";

export interface CookieJarOptions {
  readonly clock: Clock;
  /** Whoever has it can make sessions. */
  readonly key: Uint8Array;
  /** Where browsers find the page: cookies go nowhere else. */
  readonly publicUrl: URL;
}

/** Browsers keep about 4 kB of a cookie, with its name and attributes. */
const pieceLengthMax = 3_800;
const piecesMax = 3;

export class TooLongForCookies extends Error {
  override readonly name = "TooLongForCookies";
}

/** What the backend remembers of a browser is kept by the browser, encrypted: any replica with the same key can read it. */
export class CookieJar {
  readonly #options: CookieJarOptions;

  constructor(options: CookieJarOptions) {
    this.#options = options;
  }

  /** The `Set-Cookie` headers that make the browser keep the value. Throws TooLongForCookies. */
  async seal(name: string, value: JWTPayload, untilMs: number): Promise<readonly string[]> {
    const { key, clock } = this.#options;
    const sealed = await new EncryptJWT(value)
      .setProtectedHeader({ alg: "dir", enc: "A256GCM" })
      .setAudience(name)
      .setExpirationTime(Math.floor(untilMs / 1_000))
      .encrypt(key);
    const count = Math.ceil(sealed.length / pieceLengthMax);
    if (count > piecesMax) throw new TooLongForCookies(`${sealed.length} bytes do not fit into ${piecesMax} cookies`);
    const ageSeconds = Math.max(0, Math.ceil((untilMs - clock.nowMs()) / 1_000));
    const pieces = Array.from({ length: count }, (_, index) => sealed.slice(index * pieceLengthMax, (index + 1) * pieceLengthMax));
    // Pieces of a longer value before must not be read with these.
    return Array.from({ length: piecesMax }, (_, index) => this.#cookie(name, index, pieces[index] ?? "", index < count ? ageSeconds : 0));
  }

  /** The value that was sealed; undefined when there is none, it is over, or it was not sealed here. */
  async open(name: string, request: IncomingMessage): Promise<JWTPayload | undefined> {
    const { key, clock } = this.#options;
    const cookies = cookiesOf(request);
    const pieces: string[] = [];
    for (let index = 0; index < piecesMax; index += 1) pieces.push(cookies.get(this.#fullName(name, index)) ?? "");
    const sealed = pieces.join("");
    if (sealed === "") return undefined;
    try {
      const { payload } = await jwtDecrypt(sealed, key, {
        audience: name,
        currentDate: new Date(clock.nowMs()),
        keyManagementAlgorithms: ["dir"],
        contentEncryptionAlgorithms: ["A256GCM"],
      });
      return payload;
    } catch {
      return undefined;
    }
  }

  /** Headers that make the browser forget. */
  clear(name: string): readonly string[] {
    return Array.from({ length: piecesMax }, (_, index) => this.#cookie(name, index, "", 0));
  }

  #fullName(name: string, index: number): string {
    const { publicUrl } = this.#options;
    const prefix = publicUrl.protocol === "https:" ? "__Secure-" : "";
    return `${prefix}hubble-ui-${name}${index === 0 ? "" : `-${index}`}`;
  }

  #cookie(name: string, index: number, value: string, ageSeconds: number): string {
    const { publicUrl } = this.#options;
    const secure = publicUrl.protocol === "https:" ? "; Secure" : "";
    return `${this.#fullName(name, index)}=${value}; Path=${publicUrl.pathname}; Max-Age=${ageSeconds}; HttpOnly; SameSite=Lax${secure}`;
  }
}

/** A key of the right length from whatever a file holds. */
export function sealingKey(secret: Uint8Array): Uint8Array {
  return createHash("sha256").update("hubble-ui session").update(secret).digest();
}

function cookiesOf({ headers }: IncomingMessage): ReadonlyMap<string, string> {
  const pairs = (headers.cookie ?? "").split(";").map((pair) => {
    const at = pair.indexOf("=");
    return [pair.slice(0, at).trim(), pair.slice(at + 1).trim()] as const;
  });
  return new Map(pairs.filter(([name]) => name !== ""));
}
