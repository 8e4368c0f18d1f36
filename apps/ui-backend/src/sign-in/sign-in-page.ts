import type { ServerResponse } from "node:http";

/** A sentence where the browser would show nothing: what happened to a sign-in, and the way on. */
export function sendSignInPage(response: ServerResponse, status: number, problem: string, publicUrl: URL): void {
  const headers = {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
  };
  const page = escaped(publicUrl.href);
  response.writeHead(status, headers).end(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Hubble: not signed in</title>
<style>body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1rem; color-scheme: light dark }</style>
<main>
<h1>You are not signed in</h1>
<p role="alert">It did not work out: ${escaped(problem)}.</p>
<p><a href="${page}auth/sign-in">Try again</a>, or go <a href="${page}">back to the page</a>: what you have written there is kept.</p>
</main>
</html>
`);
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
