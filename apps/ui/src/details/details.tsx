import { type ReactNode, useEffect, useRef } from "react";
import type { Selection } from "../state/address.ts";
import { usePage } from "../state/page.tsx";
import { FlowDetails } from "./flow-details.tsx";
import { PairDetails } from "./pair-details.tsx";
import { ServiceDetails } from "./service-details.tsx";

/** What was selected, beside the map. */
export function Details(): ReactNode {
  const { address, go } = usePage();
  const { selection } = address;
  const heading = useRef<HTMLHeadingElement>(null);
  const key = JSON.stringify(selection);
  // Each new selection is read out.
  useEffect(() => heading.current?.focus({ preventScroll: true }), [key]);
  useEffect(() => {
    const onKeyDown = ({ key: pressed, defaultPrevented }: KeyboardEvent): void => {
      if (pressed === "Escape" && !defaultPrevented) go({ selection: undefined });
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, [go]);
  if (selection === undefined) return null;
  return (
    <aside className="details" aria-label="Details">
      <header>
        <h2 ref={heading} tabIndex={-1}>
          {titles[selection.kind]}
        </h2>
        <button type="button" aria-label="Close the details" onClick={() => go({ selection: undefined })}>
          ×
        </button>
      </header>
      {contentOf(selection)}
    </aside>
  );
}

const titles: Readonly<Record<Selection["kind"], string>> = { service: "Service", pair: "Link", flow: "Flow" };

function contentOf(selection: Selection): ReactNode {
  switch (selection.kind) {
    case "service":
      return <ServiceDetails key={selection.id} id={selection.id} />;
    case "pair":
      return <PairDetails source={selection.source} destination={selection.destination} />;
    case "flow":
      return <FlowDetails key={selection.uuid} uuid={selection.uuid} timeMs={selection.timeMs} />;
  }
}
