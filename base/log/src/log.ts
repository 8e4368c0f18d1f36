import { destination, pino } from "pino";

/** What a program's parts say, each line a sentence. */
export interface Log {
  error(message: string): void;
  warn(message: string): void;
  info(message: string): void;
  debug(message: string): void;
}

export type LogLevel = "error" | "warn" | "info" | "debug";

export interface LogOptions {
  readonly level: LogLevel;
  /** 1: standard output, 2: standard error. A line is written before the call returns, so that what a program says last is not lost. */
  readonly descriptor?: 1 | 2;
}

/** Lines of JSON: `{"level":"info","time":"2025-01-01T00:00:00.000Z","msg":"..."}`. */
export function createLog({ level, descriptor = 1 }: LogOptions): Log {
  const logger = pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } },
    destination({ dest: descriptor, sync: true }),
  );
  return {
    error: (message) => logger.error(message),
    warn: (message) => logger.warn(message),
    info: (message) => logger.info(message),
    debug: (message) => logger.debug(message),
  };
}
