/** Where a command's answer goes. */
export interface Writer {
  write(text: string): unknown;
}
