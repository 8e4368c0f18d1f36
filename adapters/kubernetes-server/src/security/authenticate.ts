import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { TLSSocket } from "node:tls";
import { authenticatedGroup, type User } from "../authorize/user.ts";

/** Bearer tokens by their SHA-256, so that looking one up takes no time that depends on its characters. */
export type Tokens = ReadonlyMap<string, User>;

export type ParsedTokens =
  | { readonly outcome: "parsed"; readonly tokens: Tokens }
  | { readonly outcome: "problem"; readonly problem: string };

/** Lines of `token,user,uid[,"group1,group2"]`, as Kubernetes' static token file has them. Empty lines and lines with `#` do not count. */
export function parseTokens(text: string): ParsedTokens {
  const tokens = new Map<string, User>();
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const [, token, name, groups = ""] = /^([^,\s]+),([^,\s]+)(?:,[^,]*)?(?:,"?([^"]*)"?)?\s*$/.exec(line) ?? [];
    if (token === undefined || name === undefined)
      return { outcome: "problem", problem: `line ${index + 1} is not token,user,uid,"groups"` };
    tokens.set(digest(token), { name, groups: [...groups.split(",").filter((group) => group !== ""), authenticatedGroup] });
  }
  return { outcome: "parsed", tokens };
}

/** The user behind a request: from the client's certificate, or its token. */
export function authenticate(request: IncomingMessage, tokens: Tokens): User | undefined {
  const { socket } = request;
  if (socket instanceof TLSSocket && socket.authorized) {
    const known = holders.get(socket) ?? holderOf(socket);
    if (known !== undefined) {
      holders.set(socket, known);
      return known;
    }
  }
  const [, token] = /^Bearer ([^\s]+)$/i.exec(request.headers.authorization ?? "") ?? [];
  return token === undefined ? undefined : holderOfToken(token, tokens);
}

export function holderOfToken(token: string, tokens: Tokens): User | undefined {
  return tokens.get(digest(token));
}

/** Who is at the other end: reading a certificate costs more than most requests. */
const holders = new WeakMap<TLSSocket, User>();

function holderOf(socket: TLSSocket): User | undefined {
  const { subject } = socket.getPeerCertificate();
  const groups = subject?.O as string | string[] | undefined;
  const name = subject?.CN as string | string[] | undefined;
  if (typeof name !== "string" || name === "") return undefined;
  return { name, groups: [...(groups === undefined ? [] : [groups].flat()), authenticatedGroup] };
}

function digest(token: string): string {
  return createHash("sha256").update(token).digest("base64");
}
