export const lostEvent = "hubble-ui-session-lost";

export interface LostSession {
  readonly reason: string;
  /** Where to sign in; empty where that is a matter of a proxy. */
  readonly signInPath: string;
}

/** Tells the page when an answer says that the user is not signed in. */
export function noteLostSession(response: Response, reason: string): void {
  if (response.status !== 401) return;
  const detail: LostSession = { reason, signInPath: response.headers.get("x-hubble-ui-sign-in") ?? "" };
  globalThis.dispatchEvent?.(new CustomEvent(lostEvent, { detail }));
}
