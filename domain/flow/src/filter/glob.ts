/**
 * Whether a text matches a pattern in which `*` stands for any run of characters, also none. Takes time proportional to
 * pattern times text at worst, unlike a backtracking regular expression.
 */
export function matchesGlob(pattern: string, text: string): boolean {
  let textIndex = 0;
  let patternIndex = 0;
  let starIndex = -1;
  let starEnd = 0;
  while (textIndex < text.length) {
    if (pattern[patternIndex] === "*") {
      starIndex = patternIndex;
      starEnd = textIndex;
      patternIndex += 1;
    } else if (patternIndex < pattern.length && pattern[patternIndex] === text[textIndex]) {
      patternIndex += 1;
      textIndex += 1;
    } else if (starIndex >= 0) {
      starEnd += 1;
      textIndex = starEnd;
      patternIndex = starIndex + 1;
    } else {
      return false;
    }
  }
  while (pattern[patternIndex] === "*") patternIndex += 1;
  return patternIndex === pattern.length;
}
