import { useEffect, useState } from "react";
import type { Theme } from "./draw.ts";

/** The style sheet's colours, for what is drawn without it. */
export function useTheme(): Theme {
  const [theme, setTheme] = useState(readTheme);
  useEffect(() => {
    const read = (): void => setTheme(readTheme());
    const media = window.matchMedia("(prefers-color-scheme: dark)");
    media.addEventListener("change", read);
    const observer = new MutationObserver(read);
    observer.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    return () => {
      media.removeEventListener("change", read);
      observer.disconnect();
    };
  }, []);
  return theme;
}

function readTheme(): Theme {
  // A property's own text is that of the style sheet, with both colours: only what is used is resolved.
  const probe = document.createElement("span");
  document.body.append(probe);
  const colour = (name: string): string => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const theme = themeOf(colour);
  probe.remove();
  return theme;
}

function themeOf(colour: (name: string) => string): Theme {
  return {
    text: colour("text"),
    muted: colour("muted"),
    surface: colour("surface"),
    card: colour("card"),
    island: colour("island"),
    border: colour("border"),
    accent: colour("accent"),
    states: {
      forwarded: colour("state-forwarded"),
      mixed: colour("state-mixed"),
      dropped: colour("state-dropped"),
      audit: colour("state-audit"),
      error: colour("state-error"),
    },
  };
}
