import type { Command } from "commander";
import { UsageError } from "./usage-error.ts";
import type { Writer } from "./writer.ts";

/** What may be written after a command. */
interface Words {
  /** `cilium-dbg bpf ct` */
  readonly path: string;
  readonly commands: ReadonlyArray<{ readonly name: string; readonly description: string }>;
  readonly flags: ReadonlyArray<{ readonly long: string; readonly short: string | undefined; readonly description: string }>;
}

const scripts: Readonly<Record<string, (name: string, words: readonly Words[]) => string>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
  powershell: powershellScript,
};

/** `completion bash|zsh|fish|powershell`: made from the commands and flags as they are when it is asked for. */
export function addCompletion(program: Command, out: Writer): void {
  program
    .command("completion")
    .description("Print a script that completes commands and flags in a shell")
    .argument("<shell>", Object.keys(scripts).join(", "))
    .action((shell: string) => {
      const script = Object.hasOwn(scripts, shell) ? scripts[shell] : undefined;
      if (script === undefined) throw new UsageError(`shell ${JSON.stringify(shell)} is none of ${Object.keys(scripts).join(", ")}`);
      out.write(script(program.name(), wordsOf(program, program.name(), [])));
    });
}

function wordsOf(command: Command, path: string, inherited: Words["flags"]): Words[] {
  const own = command.options.map(({ long, short, description }) => ({ long: long ?? "", short, description }));
  const flags = [...own, ...inherited].filter(({ long }) => long !== "");
  const commands = command.commands.map((child) => ({ name: child.name(), description: child.description() }));
  return [{ path, commands, flags }, ...command.commands.flatMap((child) => wordsOf(child, `${path} ${child.name()}`, flags))];
}

/** Follows the words before the cursor down the tree of commands, and offers what stands there. */
function bashScript(name: string, words: readonly Words[]): string {
  const shellName = shellNameOf(name);
  const paths = words.slice(1).map(({ path }) => `"${path}"`);
  const cases = words.map(({ path, commands, flags }) => {
    const offered = [...commands.map(({ name }) => name), ...flags.map(({ long }) => long), "--help"].join(" ");
    return `    "${path}") COMPREPLY=($(compgen -W "${offered}" -- "$current")) ;;`;
  });
  return `# Completion of ${name} for bash: source <(${name} completion bash)
${shellName}() {
  local current=\${COMP_WORDS[COMP_CWORD]} path=${name} index
  for ((index = 1; index < COMP_CWORD; index++)); do
    case "$path \${COMP_WORDS[index]}" in
      ${paths.join(" | ")}) path="$path \${COMP_WORDS[index]}" ;;
    esac
  done
  case "$path" in
${cases.join("\n")}
  esac
}
complete -F ${shellName} ${name}
`;
}

/** zsh runs completions of bash. */
function zshScript(name: string, words: readonly Words[]): string {
  return `#compdef ${name}
autoload -U +X compinit && compinit
autoload -U +X bashcompinit && bashcompinit
${bashScript(name, words)}`;
}

function fishScript(name: string, words: readonly Words[]): string {
  const shellName = shellNameOf(name);
  const quoted = (text: string): string => `'${text.replaceAll(/[\\']/g, "\\$&")}'`;
  const paths = words.slice(1).map(({ path }) => quoted(path));
  const lines = words.flatMap(({ path, commands, flags }) => {
    const here = `complete -c ${name} -n ${quoted(`test (_${shellName}_path) = "${path}"`)}`;
    return [
      ...commands.map(({ name, description }) => `${here} -a ${name} -d ${quoted(description)}`),
      ...flags.map(({ long, short, description }) => {
        return `${here} -l ${long.slice(2)}${short === undefined ? "" : ` -s ${short.slice(1)}`} -d ${quoted(description)}`;
      }),
    ];
  });
  return `# Completion of ${name} for fish: ${name} completion fish | source
function _${shellName}_path
  set -l path ${name}
  for word in (commandline -opc)[2..-1]
    switch "$path $word"
      case ${paths.join(" ")}
        set path "$path $word"
    end
  end
  echo $path
end
complete -c ${name} -f
${lines.join("\n")}
`;
}

/** A table of words by the path to them, and a block that follows the words before the cursor. */
function powershellScript(name: string, words: readonly Words[]): string {
  const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;
  const rows = words.map(({ path, commands, flags }) => {
    const offered = [...commands.map((command) => command.name), ...flags.map(({ long }) => long), "--help"];
    return `    ${quoted(path)} = @(${offered.map(quoted).join(", ")})`;
  });
  return `# Completion of ${name} for PowerShell: ${name} completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName ${quoted(name)} -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $words = @{
${rows.join("\n")}
  }
  $path = ${quoted(name)}
  foreach ($element in ($commandAst.CommandElements | Select-Object -Skip 1)) {
    if ($element.Extent.EndOffset -lt $cursorPosition -and $words.ContainsKey("$path $element")) { $path = "$path $element" }
  }
  $words[$path] | Where-Object { $_ -like "$wordToComplete*" } | ForEach-Object {
    [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
  }
}
`;
}

/** `_cilium_dbg`: names of functions in shells have no dashes. */
function shellNameOf(name: string): string {
  return `_${name.replaceAll("-", "_")}`;
}
