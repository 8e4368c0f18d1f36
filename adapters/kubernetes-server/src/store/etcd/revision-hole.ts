import { StoreError } from "../store.ts";

/**
 * etcd gives a write its revision only when it is done, while our texts hold their revision. So what is stored is the text without it, and in
 * front the place where it belongs: `42\n{"metadata":{"resourceVersion":""}}`. -1: it belongs nowhere.
 */
export function punch(encode: (revision: number) => string): string {
  const [one, two] = [encode(1), encode(2)];
  if (one === two) return `-1\n${one}`;
  let place = 0;
  while (one[place] === two[place]) place += 1;
  if (one[place] !== "1" || two[place] !== "2" || one.slice(place + 1) !== two.slice(place + 1))
    throw new StoreError("the text holds its revision in more than one place, which etcd cannot store");
  return `${place}\n${one.slice(0, place)}${one.slice(place + 1)}`;
}

/** The text with its revision. */
export function fill(stored: string, revision: number): string {
  const end = stored.indexOf("\n");
  const place = Number(stored.slice(0, end));
  if (end < 0 || !Number.isInteger(place)) throw new StoreError("etcd holds a value that this server did not write");
  const text = stored.slice(end + 1);
  return place < 0 ? text : `${text.slice(0, place)}${revision}${text.slice(place)}`;
}
