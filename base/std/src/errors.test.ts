import assert from "node:assert/strict";
import { test } from "node:test";
import { errorMessage, toError } from "./errors.ts";

test("a message and those of its causes make one line", () => {
  const error = new Error("policy cannot be loaded", { cause: new Error("map is full", { cause: "ENOSPC" }) });
  assert.equal(errorMessage(error), "policy cannot be loaded: map is full: ENOSPC");
});

test("a cause that was quoted is not said again", () => {
  const cause = new Error("bad indentation at line 1:\n\n{{{\n  ^");
  assert.equal(
    errorMessage(new Error("it is no YAML: bad indentation at line 1:", { cause })),
    "it is no YAML: bad indentation at line 1:",
  );
});

test("a chain of causes that bites its tail ends", () => {
  const error = new Error("first");
  error.cause = new Error("second", { cause: error });
  assert.equal(errorMessage(error), "first: second");
});

test("a thrown string becomes an error", () => {
  assert.equal(toError("boom").message, "boom");
});
