import { type ReactNode, useEffect, useRef } from "react";

const keys = [
  ["/", "write a filter"],
  ["p", "pause the table, or let it go on"],
  ["1 2 3 4", "map, services, flows, policies"],
  ["arrows", "on the map: from card to card; in the table: from row to row"],
  ["Enter", "show details"],
  ["Escape", "close details, lists and this"],
  ["+ − 0", "on the map: zoom in, out, fit"],
  ["?", "this help"],
] as const;

/** Which keys do what; opened by `?`. */
export function Help(): ReactNode {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent): void => {
      if (event.key === "?" && !isWriting(event.target)) dialog.current?.showModal();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, []);
  return (
    <>
      <button type="button" aria-label="Keyboard help" onClick={() => dialog.current?.showModal()}>
        ?
      </button>
      <dialog ref={dialog} aria-label="Keyboard help">
        <h2>Keys</h2>
        <dl>
          {keys.map(([key, does]) => (
            <div key={key}>
              <dt>
                <kbd>{key}</kbd>
              </dt>
              <dd>{does}</dd>
            </div>
          ))}
        </dl>
        <button type="button" onClick={() => dialog.current?.close()}>
          Close
        </button>
      </dialog>
    </>
  );
}

/** Whether a key is part of a text. */
export function isWriting(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.matches("input, textarea, select") || target.isContentEditable);
}
