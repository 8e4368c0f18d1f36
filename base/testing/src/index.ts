export { eventually } from "./eventually.ts";
export { freePort } from "./free-port.ts";
export { createRandom, type Random } from "./random.ts";
export { requireKernel } from "./require-kernel.ts";
