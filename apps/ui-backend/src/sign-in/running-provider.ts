/// <reference path="./oidc-provider-module.d.ts" />
import { once } from "node:events";
import { createServer, type RequestListener, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { decodeJwt, exportJWK, generateKeyPair, SignJWT } from "jose";
import { Provider } from "oidc-provider";

const { privateKey } = await generateKeyPair("RS256", { extractable: true });
const signingKey = { ...(await exportJWK(privateKey)), alg: "RS256", kid: "of-the-test", use: "sig" };

/** A real OpenID provider on the loopback, at which whoever comes is signed in as the person that the test names. */
export class RunningProvider implements AsyncDisposable {
  /** Who sits before the browser: the claims of that person. */
  person: Readonly<Record<string, unknown>> & { readonly sub: string } = { sub: "ann" };
  /** By how much the clock that dates ID tokens is behind, in seconds. They hold for an hour. */
  clockBehindSeconds = 0;
  givesRefreshTokens = true;
  readonly clientSecret = "a secret of the client's own";
  readonly #server: Server;
  #answer: RequestListener = (_request, response) => void response.writeHead(503).end();

  static async start(): Promise<RunningProvider> {
    const provider = new RunningProvider(createServer());
    await provider.listen(0);
    return provider;
  }

  private constructor(server: Server) {
    this.#server = server;
    server.on("request", (request, response) => this.#answer(request, response));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get issuer(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async listen(port: number): Promise<void> {
    this.#server.listen(port, "127.0.0.1");
    await once(this.#server, "listening");
  }

  /** Nobody can reach it until it listens again. */
  async goAway(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }

  /** Lets the page at that address sign people in. */
  serve(publicUrl: string): void {
    const client = {
      client_id: "hubble-ui",
      client_secret: this.clientSecret,
      redirect_uris: [`${publicUrl}auth/callback`],
      post_logout_redirect_uris: [publicUrl],
      grant_types: ["authorization_code", "refresh_token"],
      token_endpoint_auth_method: "client_secret_post",
    };
    const provider = new Provider(this.issuer, {
      clients: [client],
      features: { devInteractions: { enabled: false } },
      interactions: { url: () => "/interaction" },
      claims: { openid: ["sub"], profile: ["preferred_username"], email: ["email", "email_verified"], groups: ["groups"] },
      conformIdTokenClaims: false,
      ttl: { IdToken: 3_600, AccessToken: 60 },
      jwks: { keys: [signingKey] },
      cookies: { keys: ["of the test"] },
      findAccount: (_context: unknown, accountId: string) => ({ accountId, claims: () => ({ ...this.person, sub: accountId }) }),
      issueRefreshToken: () => this.givesRefreshTokens,
      loadExistingGrant: async ({ oidc }: GrantContext) => {
        const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
        grant.addOIDCScope("openid profile email groups offline_access");
        await grant.save();
        return grant;
      },
    });
    const protocol = provider.callback();
    this.#answer = (request, response) => {
      if (request.url === "/token" && this.clockBehindSeconds > 0) this.#dateBack(response);
      if (request.url !== "/interaction") return protocol(request, response);
      void provider.interactionFinished(request, response, { login: { accountId: this.person.sub } }, { mergeWithLastSubmission: false });
    };
  }

  /** Dates the ID token of an answer as a clock that is behind would. */
  #dateBack(response: ServerResponse): void {
    const end = response.end.bind(response);
    const endLater = async (text: string): Promise<void> => {
      const body = JSON.parse(text) as { id_token?: string };
      if (body.id_token !== undefined) {
        const { iat = 0, exp = 0, ...claims } = decodeJwt(body.id_token);
        const { clockBehindSeconds } = this;
        body.id_token = await new SignJWT({ ...claims, iat: iat - clockBehindSeconds, exp: exp - clockBehindSeconds })
          .setProtectedHeader({ alg: "RS256", kid: signingKey.kid ?? "" })
          .sign(signingKey);
      }
      const bytes = Buffer.from(JSON.stringify(body));
      response.setHeader("content-length", bytes.length);
      end(bytes);
    };
    response.end = ((text: string | Buffer) => {
      void endLater(String(text));
      return response;
    }) as typeof response.end;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#server.listening) await this.goAway();
  }
}

interface Grant {
  addOIDCScope(scope: string): void;
  save(): Promise<unknown>;
}

interface GrantContext {
  readonly oidc: {
    readonly client: { readonly clientId: string };
    readonly session: { readonly accountId: string };
    readonly provider: { readonly Grant: new (of: object) => Grant };
  };
}
