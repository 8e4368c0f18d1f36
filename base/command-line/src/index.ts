export { clean } from "./clean.ts";
export { addCompletion } from "./completion.ts";
export { addOutputFlag, checkOutput, jsonText, type OutputOptions, show } from "./output-format.ts";
export { ExitCode, runProgram, unlessInterrupted } from "./run-program.ts";
export { Columns, stackedRows, tableText } from "./table.ts";
export { UsageError } from "./usage-error.ts";
