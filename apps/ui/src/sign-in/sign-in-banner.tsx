import type { ReactNode } from "react";
import type { LostSession } from "../state/lost-session.ts";

/** What to do when the backend does not know the user: a page that shows something stays, and people sign in beside it. */
export function SignInBanner({ lost, isInUse }: { readonly lost: LostSession; readonly isInUse: boolean }): ReactNode {
  const { reason, signInPath } = lost;
  const to = new URLSearchParams({ to: location.search });
  return (
    <p className="banner bad" role="alert">
      You are not signed in: {reason}.{" "}
      {signInPath === "" ? (
        "Load the page again to sign in at the proxy in front of it; what you have written is kept."
      ) : isInUse ? (
        <>
          <a href={`${signInPath}?${to}`} target="_blank" rel="noopener">
            Sign in in a new tab
          </a>
          : this page then goes on by itself, and what you have written stays.
        </>
      ) : (
        <a href={`${signInPath}?${to}`}>Sign in</a>
      )}
    </p>
  );
}
