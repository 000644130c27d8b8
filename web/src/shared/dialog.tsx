// A modal dialog: the browser's own, so that focus and Escape are as everywhere.
import type { ComponentChildren } from "preact";
import { useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Icon } from "./icons";

/** What is asked before changes are lost. */
interface Unsaved {
  question: string;
  keep: string;
  discard: string;
}

interface Props {
  title: string;
  closeLabel: string;
  /** Without it the dialog stays until its form is done. */
  onClose?: () => void;
  /** Set while there are changes that closing would lose. */
  unsaved?: Unsaved | undefined;
  children: ComponentChildren;
  wide?: boolean;
}

export function Dialog({ title, closeLabel, onClose, unsaved, children, wide }: Props) {
  const element = useRef<HTMLDialogElement>(null);
  const pressedOutside = useRef(false);
  const [asking, setAsking] = useState(false);
  const id = useId();
  useLayoutEffect(() => {
    const dialog = element.current!;
    const before = document.activeElement;
    dialog.showModal();
    return () => {
      // One above would keep the focus in itself.
      for (const each of dialog.querySelectorAll("dialog")) each.close();
      dialog.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  const leave = () => {
    if (unsaved) setAsking(true);
    else onClose?.();
  };
  return (
    <dialog
      ref={element}
      class={wide ? "dialog wide" : "dialog"}
      aria-labelledby={id}
      onCancel={(event) => {
        // It is closed in a moment all the same; below it is shown again.
        if (!event.cancelable) return;
        event.preventDefault();
        leave();
      }}
      onClose={() => {
        // Browsers close it all the same where Escape is pressed again and again.
        if (!element.current || element.current.open) return;
        element.current.showModal();
        // What was above it is above it again.
        for (const each of element.current.querySelectorAll<HTMLDialogElement>("dialog[open]")) {
          each.close();
          each.showModal();
        }
        leave();
      }}
      onPointerDown={(event) => (pressedOutside.current = event.target === element.current)}
      onClick={(event) => event.target === element.current && pressedOutside.current && leave()}
    >
      <div class="dialog-body">
        <header class="dialog-head">
          <h2 id={id}>{title}</h2>
          {onClose && (
            <button type="button" class="quiet icon-button" aria-label={closeLabel} onClick={leave}>
              <Icon name="close" />
            </button>
          )}
        </header>
        {children}
      </div>
      {asking && unsaved && (
        <Dialog title={unsaved.question} closeLabel={closeLabel} onClose={() => setAsking(false)}>
          <div class="dialog-actions">
            <button type="button" autoFocus onClick={() => setAsking(false)}>{unsaved.keep}</button>
            <button type="button" class="danger" onClick={() => onClose?.()}>{unsaved.discard}</button>
          </div>
        </Dialog>
      )}
    </dialog>
  );
}
