/** What one browser keeps for its user. Reading anything damaged is like reading nothing. */
export function readPreference<T>(name: string, isValid: (value: unknown) => value is T): T | undefined {
  try {
    const text = localStorage.getItem(`@hubble-ui/${name}`);
    if (text === null) return undefined;
    const value: unknown = JSON.parse(text);
    return isValid(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** False when the browser keeps nothing: in private windows, or when it is full. */
export function writePreference(name: string, value: unknown): boolean {
  try {
    localStorage.setItem(`@hubble-ui/${name}`, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}
