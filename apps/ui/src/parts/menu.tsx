import { type KeyboardEvent, type ReactNode, useId, useRef } from "react";

/** A button that opens a list of things to do; the browser's own popover closes it by Escape, or by a click elsewhere. */
export function Menu({ label, children }: { readonly label: string; readonly children: ReactNode }): ReactNode {
  const id = useId();
  const list = useRef<HTMLDivElement>(null);
  const onKeyDown = (event: KeyboardEvent): void => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step === 0) return;
    event.preventDefault();
    const items = [...(list.current?.querySelectorAll<HTMLElement>("[role^=menuitem]") ?? [])];
    const at = items.indexOf(document.activeElement as HTMLElement);
    items[(at + step + items.length) % items.length]?.focus();
  };
  return (
    <span className="menu">
      <button type="button" popoverTarget={id} aria-haspopup="menu" style={{ anchorName: `--${cssName(id)}` }}>
        {label} ▾
      </button>
      <div
        ref={list}
        id={id}
        popover="auto"
        role="menu"
        tabIndex={-1}
        aria-label={label}
        className="menu-list"
        style={{ positionAnchor: `--${cssName(id)}` }}
        onKeyDown={onKeyDown}
        onToggle={(event) => event.newState === "open" && list.current?.querySelector<HTMLElement>("[role^=menuitem]")?.focus()}
        onClick={() => list.current?.hidePopover()}
      >
        {children}
      </div>
    </span>
  );
}

function cssName(id: string): string {
  return `menu-${id.replaceAll(/[^\w-]/g, "")}`;
}
