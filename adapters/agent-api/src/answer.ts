/** It worked; there may be something to show. */
export interface Success<Status extends number, Body = undefined> {
  readonly status: Status;
  readonly body: Body;
}

/** It did not, for a reason that the caller can do something about. */
export interface Refusal<Status extends number> {
  readonly status: Status;
  readonly error: string;
}

export type Answer = Success<number, unknown> | Refusal<number>;

export const done: Success<200> = { status: 200, body: undefined };

export function found<Body>(body: Body): Success<200, Body> {
  return { status: 200, body };
}

export function created<Body>(body: Body): Success<201, Body> {
  return { status: 201, body };
}

export function refused<Status extends number>(status: Status, error: string): Refusal<Status> {
  return { status, error };
}
