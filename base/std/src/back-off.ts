export interface BackOff {
  /** How long to wait after the nth failure in a row, counted from 1. */
  delayMs(attempt: number): number;
}

/**
 * Doubles from the least to the most, and takes a random part of the upper half, so that many clients that failed together do not
 * come back together. Every delay lies within the two bounds.
 */
export function createBackOff(options: { delayMsMin: number; delayMsMax: number; random?: () => number }): BackOff {
  const { delayMsMin, delayMsMax, random = Math.random } = options;
  return {
    delayMs(attempt) {
      const whole = Math.min(delayMsMax, delayMsMin * 2 ** Math.min(Math.max(attempt, 1), 40));
      return Math.max(delayMsMin, Math.round(whole * (0.5 + random() / 2)));
    },
  };
}
