// Takes files that are dropped on what is in it, and says what becomes of them.
import type { ComponentChildren } from "preact";
import { useRef, useState } from "preact/hooks";

interface Props {
  text: string;
  /** Without it files are not taken, and `text` says so. */
  onFiles?: ((files: File[]) => void) | undefined;
  class: string;
  /** Out of reach: something covers it. */
  inert: boolean;
  children: ComponentChildren;
}

export function DropTarget({ text, onFiles, class: name, inert, children }: Props) {
  const [over, setOver] = useState(false);
  const depth = useRef(0);
  const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
  return (
    <main
      class={name}
      inert={inert}
      onDragEnter={(event) => {
        if (!hasFiles(event)) return;
        ++depth.current;
        setOver(true);
      }}
      onDragLeave={(event) => hasFiles(event) && --depth.current <= 0 && setOver(false)}
      onDragOver={(event) => {
        if (!hasFiles(event)) return;
        event.preventDefault();
        event.dataTransfer!.dropEffect = onFiles ? "copy" : "none";
      }}
      onDrop={(event) => {
        if (!hasFiles(event)) return;
        event.preventDefault();
        depth.current = 0;
        setOver(false);
        const files = [...event.dataTransfer!.files];
        if (files.length > 0) onFiles?.(files);
      }}
    >
      {children}
      {over && <div class={onFiles ? "drop" : "drop no"}>{text}</div>}
    </main>
  );
}
