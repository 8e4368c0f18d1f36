import type { IncomingMessage } from "node:http";
import { HttpProblem } from "./answers.ts";

/** Pages of others cannot set it without being asked first, and nothing here answers that question. */
export const ownPageHeader = "x-hubble-ui";

/** A change must come from our own page: other pages, which the browser sends with the same cookies, are refused. */
export function requireOwnPage(request: IncomingMessage, publicUrl: URL): void {
  const { origin } = request.headers;
  if (request.headers[ownPageHeader] !== undefined && origin === publicUrl.origin) return;
  throw new HttpProblem(
    403,
    `changes are taken only from the page at ${publicUrl.href} (UI_PUBLIC_URL), and this came from ${origin ?? "no page"}`,
  );
}
