import { errorMessage } from "@cilium-ts/std";
import {
  AuthorizationResponseError,
  allowInsecureRequests,
  authorizationCodeGrant,
  buildAuthorizationUrl,
  buildEndSessionUrl,
  ClientSecretPost,
  type Configuration,
  calculatePKCECodeChallenge,
  clockTolerance,
  discovery,
  enableNonRepudiationChecks,
  None,
  ResponseBodyError,
  randomNonce,
  randomPKCECodeVerifier,
  randomState,
  refreshTokenGrant,
} from "openid-client";

export interface OidcProviderOptions {
  readonly issuer: URL;
  readonly clientId: string;
  /** Undefined: a client without a secret, which PKCE protects. */
  readonly clientSecret: string | undefined;
  readonly scopes: string;
  /** Where the provider sends browsers back to. */
  readonly redirectUrl: URL;
}

/** What must be remembered until the browser comes back. */
export interface BegunSignIn {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
}

export interface ProvedUser {
  readonly claims: Readonly<Record<string, unknown>>;
  readonly idToken: string;
  readonly refreshToken: string | undefined;
  /** How long the provider stands for it, in seconds; undefined when it does not say. */
  readonly lifeSeconds: number | undefined;
}

/** A sign-in that did not come about. With 502 the provider is at fault, or away. */
export class SignInFailure extends Error {
  override readonly name = "SignInFailure";
  readonly status: 400 | 401 | 502;

  constructor(status: 400 | 401 | 502, message: string, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
}

const timeoutSeconds = 10;
/** By which the provider's clock and ours may differ. */
const skewSeconds = 60;

/** An OpenID provider: the authorization code flow with PKCE, state and nonce; signatures of ID tokens are checked. */
export class OidcProvider {
  readonly #options: OidcProviderOptions;
  #configuration: Promise<Configuration> | undefined;

  constructor(options: OidcProviderOptions) {
    this.#options = options;
  }

  /** Where to send the browser. */
  async begin(): Promise<{ readonly url: URL; readonly begun: BegunSignIn }> {
    const configuration = await this.#open();
    const begun = { state: randomState(), nonce: randomNonce(), verifier: randomPKCECodeVerifier() };
    const url = buildAuthorizationUrl(configuration, {
      redirect_uri: this.#options.redirectUrl.href,
      scope: this.#options.scopes,
      code_challenge: await calculatePKCECodeChallenge(begun.verifier),
      code_challenge_method: "S256",
      state: begun.state,
      nonce: begun.nonce,
      // Without asking people, providers give nothing that lasts.
      ...(/\boffline_access\b/.test(this.#options.scopes) && { prompt: "consent" }),
    });
    return { url, begun };
  }

  /** Of the browser that came back with the query. Throws SignInFailure. */
  async finish(search: string, { state, nonce, verifier }: BegunSignIn): Promise<ProvedUser> {
    const configuration = await this.#open();
    const current = new URL(this.#options.redirectUrl);
    current.search = search;
    const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true };
    return this.#proved(authorizationCodeGrant(configuration, current, checks));
  }

  async refresh(refreshToken: string): Promise<Omit<ProvedUser, "claims" | "idToken"> & Partial<ProvedUser>> {
    const configuration = await this.#open();
    return this.#proved(refreshTokenGrant(configuration, refreshToken));
  }

  /** Where the provider itself signs out; undefined when it does not offer it, or is away. */
  async endSessionUrl(after: URL): Promise<string | undefined> {
    try {
      const configuration = await this.#open();
      if (configuration.serverMetadata().end_session_endpoint === undefined) return undefined;
      return buildEndSessionUrl(configuration, { post_logout_redirect_uri: after.href, client_id: this.#options.clientId }).href;
    } catch {
      return undefined;
    }
  }

  async #proved(grant: ReturnType<typeof authorizationCodeGrant>): Promise<ProvedUser> {
    try {
      const tokens = await grant;
      const { id_token: idToken = "", refresh_token: refreshToken } = tokens;
      return { claims: { ...tokens.claims() }, idToken, refreshToken, lifeSeconds: tokens.expiresIn() };
    } catch (cause) {
      throw this.#failure(cause);
    }
  }

  /** Asked for once; a provider that was away is asked again. */
  #open(): Promise<Configuration> {
    this.#configuration ??= this.#discover().catch((cause: unknown) => {
      this.#configuration = undefined;
      throw new SignInFailure(502, `the sign-in provider ${this.#options.issuer.href} cannot be asked: ${reasonOf(cause)}`, { cause });
    });
    return this.#configuration;
  }

  #discover(): Promise<Configuration> {
    const { issuer, clientId, clientSecret } = this.#options;
    const execute = [enableNonRepudiationChecks, ...(issuer.protocol === "http:" ? [allowInsecureRequests] : [])];
    const authentication = clientSecret === undefined ? None() : ClientSecretPost(clientSecret);
    return discovery(issuer, clientId, { [clockTolerance]: skewSeconds }, authentication, { execute, timeout: timeoutSeconds });
  }

  #failure(cause: unknown): SignInFailure {
    const { issuer } = this.#options;
    if (cause instanceof AuthorizationResponseError || cause instanceof ResponseBodyError) {
      const said = cause.error_description ?? cause.error;
      return new SignInFailure(401, `the sign-in provider ${issuer.href} refused: ${said}`, { cause });
    }
    if (cause instanceof TypeError || (cause instanceof Error && cause.name === "TimeoutError") || isUnreachable(cause))
      return new SignInFailure(502, `the sign-in provider ${issuer.href} cannot be asked: ${reasonOf(cause)}`, { cause });
    return new SignInFailure(400, `the answer of the sign-in provider ${issuer.href} is not valid: ${reasonOf(cause)}`, { cause });
  }
}

function isUnreachable(cause: unknown): boolean {
  return cause instanceof Error && cause.cause instanceof Error && /fetch failed|timeout/i.test(`${cause.message} ${cause.cause.message}`);
}

/** The innermost reason says most. */
function reasonOf(cause: unknown): string {
  let inner = cause;
  while (inner instanceof Error && inner.cause instanceof Error) inner = inner.cause;
  if (inner instanceof AggregateError) return errorMessage(inner.errors[0]);
  // The library hangs whole answers behind some of its errors.
  return inner instanceof Error ? inner.message : String(inner);
}
