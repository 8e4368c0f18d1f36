import type { EventView } from "../event.ts";

/** Asks the event's context everything that decoding or filtering the event would ask it, so that a recorder learns the answers. */
export function askEverything(event: EventView): void {
  const { context, policyCookie, ifindex, dropFile, ipTraceId } = event;
  const { sourceNames: _names, destinationNames: _others, sourceService: _service, destinationService: _other } = event; // And both sides.
  if (policyCookie !== 0) context.policyReasons(policyCookie, event.timeNs);
  if (ifindex !== 0) context.interfaceName(ifindex);
  if (ipTraceId !== 0n) context.ipTraceOption?.();
  if (dropFile !== 0) context.fileName(dropFile);
}
