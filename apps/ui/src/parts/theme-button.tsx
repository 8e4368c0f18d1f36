import { type ReactNode, useEffect, useState } from "react";
import { readPreference, writePreference } from "../state/preferences.ts";

type Choice = "light" | "dark" | "system";
const choices: readonly Choice[] = ["system", "light", "dark"];

function isChoice(value: unknown): value is Choice {
  return choices.some((choice) => choice === value);
}

/** Light, dark, or as the system is. */
export function ThemeButton(): ReactNode {
  const [choice, setChoice] = useState<Choice>(() => readPreference("theme", isChoice) ?? "system");
  useEffect(() => {
    if (choice === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = choice;
  }, [choice]);
  const next = choices[(choices.indexOf(choice) + 1) % choices.length] ?? "system";
  return (
    <button
      type="button"
      aria-label={`Theme: ${choice}. Change to ${next}`}
      onClick={() => {
        setChoice(next);
        writePreference("theme", next);
      }}
    >
      {choice === "system" ? "◐" : choice === "light" ? "☀" : "☾"}
    </button>
  );
}
