/** Something that is not as it should be: of which component, of which of its parts, and what. */
export interface Trouble {
  readonly component: string;
  readonly part: string;
  readonly message: string;
}
