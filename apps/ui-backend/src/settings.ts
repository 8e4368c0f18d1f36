import { hostPortOf, unixPathOf } from "@cilium-ts/observer";
import { type ChangesAs, changesAsNames } from "./changes/acting-as.ts";
import type { ClaimSettings } from "./sign-in/claimed-user.ts";
import type { TrustedHeaders } from "./sign-in/sign-in.ts";

interface Variable {
  readonly name: string;
  readonly fallback: string;
  readonly says: string;
}

/** The first ones are those of Hubble UI's backend: contracts 9. */
const variables = [
  { name: "EVENTS_SERVER_PORT", fallback: "8090", says: "port to serve on" },
  { name: "FLOWS_API_ADDR", fallback: "localhost:50051", says: "the relay, or one node's Hubble: host:port, or unix:///path" },
  { name: "TLS_TO_RELAY_ENABLED", fallback: "false", says: "speak TLS to it" },
  { name: "TLS_RELAY_SERVER_NAME", fallback: "", says: "what its certificate must be valid for, where that is not the host" },
  { name: "TLS_RELAY_CA_CERT_FILES", fallback: "", says: "authorities of its certificate, parted by commas" },
  { name: "TLS_RELAY_CLIENT_CERT_FILE", fallback: "", says: "the certificate to show it" },
  { name: "TLS_RELAY_CLIENT_KEY_FILE", fallback: "", says: "its key" },
  { name: "GET_FLOWS_LAST", fallback: "10000", says: "past flows to begin with" },
  { name: "CORS_ENABLED", fallback: "false", says: "let pages of other origins ask" },
  { name: "DEBUG_LOGS", fallback: "false", says: "log more" },
  { name: "UI_LISTEN_HOST", fallback: "", says: "address to serve on; empty: all" },
  { name: "UI_BASE_PATH", fallback: "/", says: "the page's path, such as /hubble/" },
  { name: "UI_STATIC_DIR", fallback: "", says: "folder with the page; empty: another server has it" },
  {
    name: "UI_TRUSTED_USER_HEADER",
    fallback: "",
    says: "header by which a proxy in front names the user; empty: everybody sees everything",
  },
  { name: "UI_TRUSTED_GROUPS_HEADER", fallback: "x-forwarded-groups", says: "header with the user's groups, parted by commas" },
  { name: "UI_OIDC_ISSUER", fallback: "", says: "OpenID provider at which people sign in, such as https://login.example.com" },
  {
    name: "UI_OIDC_CLIENT_ID",
    fallback: "hubble-ui",
    says: "how it knows this page; it must send browsers back to UI_PUBLIC_URL + auth/callback",
  },
  { name: "UI_OIDC_CLIENT_SECRET_FILE", fallback: "", says: "file with the client's secret; empty: it has none" },
  {
    name: "UI_OIDC_SCOPES",
    fallback: "openid profile email",
    says: "what to ask of it; with offline_access sessions are renewed by themselves",
  },
  { name: "UI_OIDC_USERNAME_CLAIM", fallback: "sub", says: "claim with the user's name" },
  { name: "UI_OIDC_USERNAME_PREFIX", fallback: "", says: "in front of these names" },
  { name: "UI_OIDC_GROUPS_CLAIM", fallback: "groups", says: "claim with the user's groups" },
  { name: "UI_OIDC_GROUPS_PREFIX", fallback: "", says: "in front of these groups" },
  {
    name: "UI_SESSION_KEY_FILE",
    fallback: "",
    says: "secret that encrypts sessions, 32 bytes or more, the same for all replicas; empty: sessions end with the program",
  },
  { name: "UI_SESSION_HOURS", fallback: "12", says: "after which people sign in again" },
  { name: "UI_KUBECONFIG", fallback: "", says: "the cluster whose policies are shown; inside of one that cluster" },
  { name: "UI_CILIUM_NAMESPACE", fallback: "kube-system", says: "where Cilium's settings are" },
  {
    name: "UI_PUBLIC_URL",
    fallback: "",
    says: "where browsers find the page, such as https://hubble.example.com/; needed to change anything",
  },
  {
    name: "UI_CHANGES_AS",
    fallback: "nobody",
    says: "whose rights count for changes: nobody, user (impersonated), token (the user's own), or backend (without sign-in)",
  },
  { name: "UI_ACCESS_FILE", fallback: "", says: "JSON file: which users and groups see which namespaces" },
] as const satisfies readonly Variable[];

type VariableName = (typeof variables)[number]["name"];

export interface Settings {
  readonly host: string;
  readonly port: number;
  readonly hubbleAddress: string;
  /** Undefined: plain text. */
  readonly tls: TlsSettings | undefined;
  readonly lastCount: number;
  readonly allowsOtherOrigins: boolean;
  readonly isVerbose: boolean;
  readonly basePath: string;
  readonly staticFolder: string | undefined;
  readonly trustedHeaders: TrustedHeaders | undefined;
  /** Undefined: nobody signs in at a provider. */
  readonly oidc: OidcSettings | undefined;
  readonly accessPath: string;
  readonly changesAs: ChangesAs;
  /** Undefined: nothing can be changed. */
  readonly publicUrl: URL | undefined;
  /** Empty: the cluster that the backend runs in, if it does. */
  readonly kubeconfigPath: string;
  readonly ciliumNamespace: string;
  /** Of the cluster that the backend runs in. */
  readonly inCluster: { readonly host: string | undefined; readonly port: string | undefined };
}

export interface TlsSettings {
  readonly serverName: string | undefined;
  readonly authorityPaths: readonly string[];
  readonly certificatePath: string | undefined;
  readonly keyPath: string | undefined;
}

export interface OidcSettings {
  readonly issuer: URL;
  readonly clientId: string;
  readonly clientSecretPath: string | undefined;
  readonly scopes: string;
  readonly claims: ClaimSettings;
  /** Undefined: a key is made at the start. */
  readonly sessionKeyPath: string | undefined;
  readonly sessionHours: number;
}

export type ParsedSettings =
  | { readonly kind: "settings"; readonly settings: Settings }
  | { readonly kind: "problems"; readonly problems: readonly string[] };

export const usage = `Usage: hubble-ui-backend [version]

It is told what to do by environment variables:
${variables.map(({ name, fallback, says }) => `  ${name.padEnd(28)} ${says}${fallback === "" ? "" : ` (${fallback})`}`).join("\n")}
`;

export function parseSettings(environment: Readonly<Record<string, string | undefined>>): ParsedSettings {
  const problems: string[] = [];
  const text = (name: VariableName): string => {
    const given = environment[name]?.trim() ?? "";
    return given === "" ? (variables.find((variable) => variable.name === name)?.fallback ?? "") : given;
  };
  const number = (name: VariableName, max: number): number => {
    const value = Number(text(name));
    if (!/^\d+$/.test(text(name)) || value > max) problems.push(`${name} is a whole number of at most ${max}, not "${text(name)}"`);
    return value;
  };
  const flag = (name: VariableName): boolean => {
    const value = text(name).toLowerCase();
    if (!["true", "false", "1", "0"].includes(value)) problems.push(`${name} is true or false, not "${text(name)}"`);
    return value === "true" || value === "1";
  };
  const hubbleAddress = text("FLOWS_API_ADDR");
  if (unixPathOf(hubbleAddress) === undefined && !isHostPort(hubbleAddress))
    problems.push(`FLOWS_API_ADDR is host:port or unix:///path, not "${hubbleAddress}"`);
  const settings: Settings = {
    host: text("UI_LISTEN_HOST"),
    port: number("EVENTS_SERVER_PORT", 65_535),
    hubbleAddress,
    tls: flag("TLS_TO_RELAY_ENABLED") ? readTls(text, problems) : undefined,
    lastCount: number("GET_FLOWS_LAST", 1_000_000),
    allowsOtherOrigins: flag("CORS_ENABLED"),
    isVerbose: flag("DEBUG_LOGS"),
    basePath: `/${text("UI_BASE_PATH")}/`.replace(/\/+/g, "/"),
    staticFolder: text("UI_STATIC_DIR") === "" ? undefined : text("UI_STATIC_DIR"),
    trustedHeaders:
      text("UI_TRUSTED_USER_HEADER") === ""
        ? undefined
        : { user: text("UI_TRUSTED_USER_HEADER").toLowerCase(), groups: text("UI_TRUSTED_GROUPS_HEADER").toLowerCase() },
    oidc: text("UI_OIDC_ISSUER") === "" ? undefined : readOidc(text, number("UI_SESSION_HOURS", 24 * 30), problems),
    accessPath: text("UI_ACCESS_FILE"),
    changesAs: readChangesAs(text("UI_CHANGES_AS"), problems),
    publicUrl: readPublicUrl(text("UI_PUBLIC_URL"), problems),
    kubeconfigPath: text("UI_KUBECONFIG"),
    ciliumNamespace: text("UI_CILIUM_NAMESPACE"),
    inCluster: { host: environment.KUBERNETES_SERVICE_HOST, port: environment.KUBERNETES_SERVICE_PORT },
  };
  problems.push(...signInProblems(settings));
  problems.push(...changeProblems(settings));
  return problems.length === 0 ? { kind: "settings", settings } : { kind: "problems", problems };
}

function readChangesAs(text: string, problems: string[]): ChangesAs {
  const known = changesAsNames.find((name) => name === text.toLowerCase());
  if (known === undefined) problems.push(`UI_CHANGES_AS is one of ${changesAsNames.join(", ")}, not "${text}"`);
  return known ?? "nobody";
}

function readPublicUrl(text: string, problems: string[]): URL | undefined {
  if (text === "") return undefined;
  const url = URL.parse(text.endsWith("/") ? text : `${text}/`);
  if (url !== null && /^https?:$/.test(url.protocol) && url.search === "" && url.hash === "") return url;
  problems.push(`UI_PUBLIC_URL is an address such as https://hubble.example.com/, not "${text}"`);
  return undefined;
}

function readOidc(text: (name: VariableName) => string, sessionHours: number, problems: string[]): OidcSettings | undefined {
  const issuer = URL.parse(text("UI_OIDC_ISSUER"));
  const isSafe = issuer !== null && (issuer.protocol === "https:" || (issuer.protocol === "http:" && isLoopback(issuer.hostname)));
  if (!isSafe) {
    problems.push(`UI_OIDC_ISSUER is an address that begins with https://, not "${text("UI_OIDC_ISSUER")}"`);
    return undefined;
  }
  if (sessionHours < 1) problems.push("UI_SESSION_HOURS is a whole number of at least 1");
  const orNone = (name: VariableName): string | undefined => (text(name) === "" ? undefined : text(name));
  return {
    issuer,
    clientId: text("UI_OIDC_CLIENT_ID"),
    clientSecretPath: orNone("UI_OIDC_CLIENT_SECRET_FILE"),
    scopes: text("UI_OIDC_SCOPES"),
    claims: {
      usernameClaim: text("UI_OIDC_USERNAME_CLAIM"),
      usernamePrefix: text("UI_OIDC_USERNAME_PREFIX"),
      groupsClaim: text("UI_OIDC_GROUPS_CLAIM"),
      groupsPrefix: text("UI_OIDC_GROUPS_PREFIX"),
    },
    sessionKeyPath: orNone("UI_SESSION_KEY_FILE"),
    sessionHours,
  };
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || /^127\./.test(host);
}

function signInProblems({ trustedHeaders, oidc, accessPath, publicUrl }: Settings): readonly string[] {
  const problems: string[] = [];
  if (trustedHeaders !== undefined && oidc !== undefined)
    problems.push("UI_TRUSTED_USER_HEADER and UI_OIDC_ISSUER exclude each other: say which of them signs people in");
  if (trustedHeaders !== undefined && accessPath === "")
    problems.push("UI_TRUSTED_USER_HEADER needs UI_ACCESS_FILE, which says what users and groups may see");
  if (oidc !== undefined && accessPath === "")
    problems.push("UI_OIDC_ISSUER needs UI_ACCESS_FILE, which says what users and groups may see");
  if (oidc !== undefined && publicUrl === undefined)
    problems.push("UI_OIDC_ISSUER needs UI_PUBLIC_URL: the provider sends browsers back there");
  if (trustedHeaders === undefined && oidc === undefined && accessPath !== "")
    problems.push("UI_ACCESS_FILE needs UI_TRUSTED_USER_HEADER or UI_OIDC_ISSUER: without them nobody is known");
  return problems;
}

function changeProblems({ changesAs, publicUrl, trustedHeaders, oidc }: Settings): readonly string[] {
  if (changesAs === "nobody") return [];
  const problems: string[] = [];
  const signsIn = trustedHeaders !== undefined || oidc !== undefined;
  if (publicUrl === undefined) problems.push("UI_CHANGES_AS needs UI_PUBLIC_URL: changes are taken only from the page there");
  if (changesAs === "backend" && signsIn)
    problems.push("UI_CHANGES_AS=backend is for a page without sign-in: where people sign in, their own rights count (user)");
  if (changesAs === "user" && !signsIn) problems.push("UI_CHANGES_AS=user needs a sign-in, by UI_TRUSTED_USER_HEADER or UI_OIDC_ISSUER");
  if (changesAs === "token" && oidc === undefined) problems.push("UI_CHANGES_AS=token needs UI_OIDC_ISSUER, which gives tokens");
  return problems;
}

function isHostPort(address: string): boolean {
  try {
    return hostPortOf(address).port > 0;
  } catch {
    return false;
  }
}

function readTls(text: (name: VariableName) => string, problems: string[]): TlsSettings {
  const orNone = (name: VariableName): string | undefined => (text(name) === "" ? undefined : text(name));
  const certificatePath = orNone("TLS_RELAY_CLIENT_CERT_FILE");
  const keyPath = orNone("TLS_RELAY_CLIENT_KEY_FILE");
  if ((certificatePath === undefined) !== (keyPath === undefined))
    problems.push("TLS_RELAY_CLIENT_CERT_FILE and TLS_RELAY_CLIENT_KEY_FILE: name both, or none");
  const authorityPaths = text("TLS_RELAY_CA_CERT_FILES")
    .split(",")
    .map((path) => path.trim())
    .filter((path) => path !== "");
  return { serverName: orNone("TLS_RELAY_SERVER_NAME"), authorityPaths, certificatePath, keyPath };
}
