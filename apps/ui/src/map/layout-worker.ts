import { type LayoutInput, LayoutKeeper } from "./layout.ts";

/** To the worker. `isFresh`: forget where things stood. */
export interface LayoutRequest {
  readonly input: LayoutInput;
  readonly isFresh: boolean;
}

let keeper = new LayoutKeeper();

addEventListener("message", ({ data }: MessageEvent<LayoutRequest>) => {
  if (data.isFresh) keeper = new LayoutKeeper();
  postMessage(keeper.update(data.input));
});
