import { type ReactNode, useId, useState } from "react";

/** A button that opens a small panel; the browser closes it by Escape, or by a click elsewhere. Its content exists while it is open. */
export function Popover({
  label,
  name,
  children,
}: {
  readonly label: string;
  readonly name: string;
  readonly children: ReactNode;
}): ReactNode {
  const id = useId();
  const anchor = `--popover-${id.replaceAll(/[^\w-]/g, "")}`;
  const [isOpen, setIsOpen] = useState(false);
  return (
    <span className="popover-place">
      <button type="button" popoverTarget={id} aria-haspopup="dialog" aria-label={`${name}: ${label}`} style={{ anchorName: anchor }}>
        {label} ▾
      </button>
      <div
        id={id}
        popover="auto"
        role="dialog"
        aria-label={name}
        className="popover"
        style={{ positionAnchor: anchor }}
        onToggle={(event) => setIsOpen(event.newState === "open")}
      >
        {isOpen && children}
      </div>
    </span>
  );
}
