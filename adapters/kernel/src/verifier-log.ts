/** What libbpf prints around the log of a program that could not be loaded. */
const logPattern = /prog '([^']+)': -- BEGIN PROG LOAD LOG --\n([\s\S]*?)-- END PROG LOAD LOG --/;

/** The program that was rejected and its log; undefined when something else went wrong. */
export function parseRejection(text: string): { program: string; log: string; line: string } | undefined {
  const match = logPattern.exec(text);
  if (match === null) return undefined;
  const [, program = "", log = ""] = match;
  return { program, log, line: condenseVerifierLog(log) };
}

/** Lines that follow the reason: counts, times and depths. */
const statisticPattern = /^(processed \d+ insns|verification time|stack depth|max_states_per_insn|peak_states|mark_read)/;

/** "; sum += *next; @ pod.c:117": source that the compiler noted, before the instructions made from it. */
const sourcePattern = /^; (.*?)(?: @ ([^\s:]+:\d+))?$/;

/** The reason that the verifier gives, and the line of source that it was at. */
export function condenseVerifierLog(log: string): string {
  const lines = log.split("\n").map((line) => line.trimEnd());
  const reasonIndex = lines.findLastIndex((line) => line !== "" && !statisticPattern.test(line));
  const reason = lines[reasonIndex];
  if (reason === undefined) return "the verifier gave no reason";
  const source = lines.slice(0, reasonIndex).findLast((line) => sourcePattern.test(line));
  if (source === undefined) return reason;
  const [, statement = "", place] = sourcePattern.exec(source) ?? [];
  return `${reason} at \`${statement}\`${place === undefined ? "" : ` (${place})`}`;
}

/** The last thing that libbpf complained about, without its prefix: mostly the cause of all. */
export function lastMessage(text: string): string | undefined {
  return text
    .trimEnd()
    .split("\n")
    .at(-1)
    ?.replace(/^libbpf: /, "");
}
