/** The words of a C name, in lower case: `__u32` -> u32, `LOCAL_ADDRESS_HOST` -> local, address, host. */
export function wordsOf(cName: string): string[] {
  return cName
    .toLowerCase()
    .split("_")
    .filter((word) => word !== "");
}

/** `policy_set` -> policySet */
export function camelCase(cName: string): string {
  return joinCamelCase(wordsOf(cName));
}

/** `ct_key4` -> CtKey4 */
export function pascalCase(cName: string): string {
  return wordsOf(cName).map(capitalise).join("");
}

/**
 * Names of an enum's members in TypeScript: what the enumerators have of the enum's own name is left out, so that
 * `DROP_POLICY_DENIED` of `enum drop_reason` is policyDenied.
 */
export function enumeratorNames(enumName: string, enumerators: readonly string[]): string[] {
  const all = enumerators.map(wordsOf);
  const prefix = wordsOf(enumName);
  let shared = 0;
  while (shared < prefix.length && all.every((words) => words.length > shared + 1 && words[shared] === prefix[shared])) shared += 1;
  return all.map((words) => {
    const name = joinCamelCase(words.slice(shared));
    return /^\d/.test(name) ? joinCamelCase(words) : name;
  });
}

function joinCamelCase(words: readonly string[]): string {
  return words.map((word, index) => (index === 0 ? word : capitalise(word))).join("");
}

function capitalise(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
