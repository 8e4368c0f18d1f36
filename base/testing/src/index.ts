export { eventually } from "./eventually.ts";
export { createRandom, type Random } from "./random.ts";
export { requireKernel } from "./require-kernel.ts";
