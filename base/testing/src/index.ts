export { eventually } from "./eventually.ts";
export { requireKernel } from "./require-kernel.ts";
export { createRandom, type Random } from "./random.ts";
