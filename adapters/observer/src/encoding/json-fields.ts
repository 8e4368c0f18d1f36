/** The fields of one JSON object, written in a row. What has its default value is left out, as protobuf's JSON form asks. */
export class JsonFields {
  #text = "";

  /** A value that is JSON already. Without a name: fields that are written already. */
  json(name: string, json: string): void {
    if (json === "") return;
    this.#text += `${this.#text === "" ? "" : ","}${name === "" ? "" : `"${name}":`}${json}`;
  }

  text(name: string, value: string): void {
    if (value !== "") this.json(name, quote(value));
  }

  texts(name: string, values: readonly string[]): void {
    if (values.length > 0) this.json(name, `[${values.map(quote).join(",")}]`);
  }

  number(name: string, value: number): void {
    if (value !== 0) this.json(name, String(value));
  }

  /** 64 bits are texts in JSON. */
  big(name: string, value: bigint): void {
    if (value !== 0n) this.json(name, `"${value}"`);
  }

  object(): string {
    return `{${this.#text}}`;
  }
}

const plain = /^[ !#-[\]-~]*$/;

export function quote(text: string): string {
  return plain.test(text) ? `"${text}"` : JSON.stringify(text);
}
