import type { Command } from "commander";
import type { World } from "./world.ts";

const shells = ["bash", "zsh", "fish"] as const;

/** `completion bash|zsh|fish`: a script to be sourced, made from the commands and flags as they are. */
export function addCompletion(program: Command, world: World): void {
  const command = program.command("completion").description("Write a script that completes commands and flags in a shell");
  for (const shell of shells) {
    command
      .command(shell)
      .description(`for ${shell}`)
      .action(() => void world.stdout.write(scriptOf(program, shell)));
  }
}

interface Completion {
  /** `observe agent-events`; empty for the program. */
  readonly path: string;
  readonly words: readonly string[];
}

export function scriptOf(program: Command, shell: (typeof shells)[number]): string {
  const completions = completionsOf(program, "");
  if (shell === "fish") {
    return completions
      .flatMap(({ path, words }) => words.map((word) => `complete -c hubble -n '__hubble_at "${path}"' -f -a '${word}'\n`))
      .join("")
      .replace(
        /^/,
        'function __hubble_at\n    set -l words (commandline -opc | string match -rv \'^-\')\n    test "$words[2..]" = "$argv[1]"\nend\n',
      );
  }
  const cases = completions.map(({ path, words }) => `    "${path}") words="${words.join(" ")}" ;;\n`).join("");
  const body = `_hubble() {
  local path="" word words=""
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ "$word" == -* ]] || path="\${path:+$path }$word"
  done
  case "$path" in
${cases}  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _hubble hubble
`;
  return shell === "zsh" ? `autoload -U +X bashcompinit && bashcompinit\n${body}` : body;
}

function completionsOf(command: Command, path: string): Completion[] {
  const flags = command.options.flatMap(({ long, short }) => [long, short]).filter((flag) => flag !== undefined && flag !== null);
  const words = [...command.commands.map((child) => child.name()), ...flags];
  const children = command.commands.flatMap((child) => completionsOf(child, path === "" ? child.name() : `${path} ${child.name()}`));
  return [{ path, words }, ...children];
}
