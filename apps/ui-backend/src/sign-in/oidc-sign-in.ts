import type { IncomingMessage, ServerResponse } from "node:http";
import type { Log } from "@cilium-ts/log";
import type { Clock } from "@cilium-ts/std";
import { sendJson } from "../serve/answers.ts";
import { requireOwnPage } from "../serve/own-page.ts";
import { type ClaimSettings, claimedUser } from "./claimed-user.ts";
import { type BegunSignIn, type OidcProvider, type ProvedUser, SignInFailure } from "./oidc-provider.ts";
import { type CookieJar, TooLongForCookies } from "./session-cookie.ts";
import { type Access, type NamespaceRights, rightsOf, type SignIn } from "./sign-in.ts";
import { sendSignInPage } from "./sign-in-page.ts";

export interface OidcSignInOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly provider: OidcProvider;
  readonly jar: CookieJar;
  readonly claims: ClaimSettings;
  readonly rights: NamespaceRights;
  readonly publicUrl: URL;
  readonly sessionHours: number;
  /** The user's own token is needed for changes. */
  readonly keepsToken: boolean;
}

/** What the browser keeps for us. */
interface Session {
  readonly user: string;
  readonly groups: readonly string[];
  readonly token?: string;
  readonly refresh?: string;
  /** Until then the provider need not be asked again. */
  readonly untilMs: number;
  /** Then the user signs in again, whatever the provider says. */
  readonly endMs: number;
}

const signInMinutes = 10;
const refreshMsMin = 60_000;
const refreshMsMax = 3_600_000;
/** Requests of one page that come with the same cookie get the same new session. */
const sharedRefreshMs = 30_000;
const sharedRefreshesMax = 1_000;
const searchLengthMax = 4_000;

/** Browsers sign in at an OpenID provider, and carry an encrypted session. */
export class OidcSignIn implements SignIn {
  readonly isPageOpen = true;
  readonly canSignOut = true;
  readonly #options: OidcSignInOptions;
  readonly #refreshes = new Map<string, Promise<Session>>();

  constructor(options: OidcSignInOptions) {
    this.#options = options;
  }

  async check(request: IncomingMessage, response: ServerResponse): Promise<Access> {
    const { clock, jar, rights } = this.#options;
    const found = (await jar.open("session", request)) as Session | undefined;
    const nowMs = clock.nowMs();
    if (found === undefined || found.endMs <= nowMs) return signInFirst(found === undefined ? "sign in first" : "your session is over");
    let session = found;
    if (found.untilMs <= nowMs) {
      if (found.refresh === undefined) return signInFirst("your session is over");
      try {
        session = await this.#refreshed(found, found.refresh);
      } catch (cause) {
        if (!(cause instanceof SignInFailure)) throw cause;
        if (cause.status === 502) return { kind: "refused", status: 503, reason: `${cause.message}; your session waits for it` };
        return signInFirst(`your session is over (${cause.message})`);
      }
      response.appendHeader("set-cookie", await jar.seal("session", { ...session }, session.endMs));
    }
    const { user, groups, token, refresh, untilMs, endMs } = session;
    // A stream that goes on must not outlive what it was opened for.
    const until = refresh === undefined ? Math.min(untilMs, endMs) : untilMs;
    return rightsOf(rights, { user, groups, untilMs: until, ...(token !== undefined && { token }) });
  }

  /** `auth/…`: begins, finishes and ends sessions. False for all else. */
  async answer(path: string, url: URL, request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    if (!path.startsWith("auth/")) return false;
    try {
      if (path === "auth/sign-in" && request.method === "GET") await this.#begin(url, response);
      else if (path === "auth/callback" && request.method === "GET") await this.#finish(url, request, response);
      else if (path === "auth/sign-out" && request.method === "POST") await this.#end(request, response);
      else return false;
    } catch (cause) {
      if (!(cause instanceof SignInFailure)) throw cause;
      this.#options.log.warn(`sign-in: ${cause.message}`);
      sendSignInPage(response, cause.status, cause.message, this.#options.publicUrl);
    }
    return true;
  }

  async #begin(url: URL, response: ServerResponse): Promise<void> {
    const { provider, jar, clock } = this.#options;
    const { url: there, begun } = await provider.begin();
    const search = url.searchParams.get("to") ?? "";
    // Only a query of our own page: nobody is sent elsewhere after signing in here.
    const to = /^\?[^#\s]*$/.test(search) && search.length <= searchLengthMax ? search : "";
    const cookies = await jar.seal("sign-in", { ...begun, to }, clock.nowMs() + signInMinutes * 60_000);
    response.writeHead(303, { location: there.href, "set-cookie": [...cookies], "cache-control": "no-store" }).end();
  }

  async #finish(url: URL, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { provider, jar, publicUrl, log } = this.#options;
    const begun = (await jar.open("sign-in", request)) as (BegunSignIn & { readonly to?: string }) | undefined;
    if (begun === undefined)
      throw new SignInFailure(400, `this sign-in was not begun in this browser, or longer than ${signInMinutes} minutes ago`);
    const session = this.#sessionOf(await provider.finish(url.search, begun));
    let cookies: readonly string[];
    try {
      cookies = await jar.seal("session", { ...session }, session.endMs);
    } catch (cause) {
      if (!(cause instanceof TooLongForCookies)) throw cause;
      const problem = `the provider says ${session.groups.length} groups and tokens that do not fit into cookies: let it send only the groups that matter here`;
      throw new SignInFailure(400, problem, { cause });
    }
    log.info(`sign-in: ${session.user} signed in`);
    const location = `${publicUrl.href}${begun.to ?? ""}`;
    response.writeHead(303, { location, "set-cookie": [...cookies, ...jar.clear("sign-in")], "cache-control": "no-store" }).end();
  }

  async #end(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { provider, jar, publicUrl } = this.#options;
    requireOwnPage(request, publicUrl);
    request.resume();
    const location = (await provider.endSessionUrl(publicUrl)) ?? publicUrl.href;
    response.appendHeader("set-cookie", jar.clear("session"));
    sendJson(response, 200, { location });
  }

  #sessionOf(proved: ProvedUser): Session {
    const { clock, claims, sessionHours, keepsToken } = this.#options;
    const claimed = claimedUser(proved.claims, claims);
    if (claimed.kind === "problem") throw new SignInFailure(400, claimed.problem);
    const endMs = clock.nowMs() + sessionHours * 3_600_000;
    const { user, groups } = claimed;
    const { refreshToken: refresh, idToken } = proved;
    return {
      user,
      groups,
      untilMs: this.#untilMs(proved, endMs),
      endMs,
      ...(refresh !== undefined && { refresh }),
      ...(keepsToken && { token: idToken }),
    };
  }

  /** When to ask the provider again. */
  #untilMs({ claims, lifeSeconds, refreshToken }: Partial<ProvedUser>, endMs: number): number {
    const { clock, keepsToken } = this.#options;
    const nowMs = clock.nowMs();
    // A token is of no use to the cluster when it is over.
    if (keepsToken && typeof claims?.exp === "number") return Math.min(endMs, claims.exp * 1_000);
    if (refreshToken === undefined) return endMs;
    return Math.min(endMs, nowMs + Math.min(refreshMsMax, Math.max(refreshMsMin, (lifeSeconds ?? 0) * 1_000)));
  }

  #refreshed(session: Session, refresh: string): Promise<Session> {
    const running = this.#refreshes.get(refresh);
    if (running !== undefined) return running;
    const next = this.#refresh(session, refresh);
    this.#refreshes.set(refresh, next);
    for (const oldest of this.#refreshes.keys()) if (this.#refreshes.size > sharedRefreshesMax) this.#refreshes.delete(oldest);
    const forget = (): void => void this.#refreshes.delete(refresh);
    next.then(() => setTimeout(forget, sharedRefreshMs).unref(), forget);
    return next;
  }

  async #refresh(session: Session, refresh: string): Promise<Session> {
    const { provider, claims, keepsToken } = this.#options;
    const proved = await provider.refresh(refresh);
    const hasToken = proved.idToken !== undefined && proved.idToken !== "";
    const claimed = hasToken
      ? claimedUser(proved.claims ?? {}, claims)
      : { kind: "user" as const, user: session.user, groups: session.groups };
    if (claimed.kind === "problem") throw new SignInFailure(401, claimed.problem);
    if (claimed.user !== session.user) throw new SignInFailure(401, "the provider now names somebody else");
    const refreshToken = proved.refreshToken ?? refresh;
    return {
      ...session,
      groups: claimed.groups,
      refresh: refreshToken,
      untilMs: this.#untilMs({ ...proved, refreshToken }, session.endMs),
      ...(keepsToken && hasToken && { token: proved.idToken }),
    };
  }
}

/** Where the page sends who is not signed in. */
function signInFirst(reason: string): Access {
  return { kind: "refused", status: 401, reason, headers: { "x-hubble-ui-sign-in": "auth/sign-in" } };
}
