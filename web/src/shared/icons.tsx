// Line icons of 24 units. Those that point somewhere are turned around in right-to-left pages (.turns).
import type { JSX } from "preact";

const paths = {
  plus: "M12 5v14M5 12h14",
  search: "M11 18a7 7 0 1 1 0-14 7 7 0 0 1 0 14ZM20 20l-4-4",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  close: "M6 6l12 12M18 6 6 18",
  menu: "M4 7h16M4 12h16M4 17h16",
  send: "M12 19V5M6 11l6-6 6 6",
  stop: "M7 7h10v10H7z",
  copy: "M9 9h10v10H9zM15 9V5H5v10h4",
  check: "M5 12.5l4.5 4.5L19 7.5",
  retry: "M19 12a7 7 0 1 1-2.3-5.2M19 4v4h-4",
  edit: "M4 20h4L19 9l-4-4L4 16v4ZM13 7l4 4",
  trash: "M5 7h14M10 7V5h4v2M7 7l1 12h8l1-12M10.5 11v5M13.5 11v5",
  down: "M12 5v14M6 13l6 6 6-6",
  chevron: "M9 6l6 6-6 6",
  plan: "M9 18h6M10 21h4M12 3a6 6 0 0 0-3.6 10.8c.4.3.6.8.6 1.2h6c0-.4.2-.9.6-1.2A6 6 0 0 0 12 3Z",
  tool: "M12 9a3 3 0 1 1 0 6 3 3 0 0 1 0-6ZM12 3v3M12 18v3M3 12h3M18 12h3M5.6 5.6l2.2 2.2M16.2 16.2l2.2 2.2M5.6 18.4l2.2-2.2M16.2 7.8l2.2-2.2",
  sources: "M5 4h9l5 5v11H5zM14 4v5h5M8.5 13h7M8.5 16.5h5",
  attach: "M19 11.5 12 18.4a4.2 4.2 0 0 1-6-6l7.4-7.2a2.9 2.9 0 0 1 4 4l-7.3 7.2a1.4 1.4 0 0 1-2-2L14.500 8",
  mic: "M12 4a2.500 2.500 0 0 1 2.500 2.500v5a2.500 2.500 0 0 1-5 0v-5A2.500 2.500 0 0 1 12 4ZM6 11.500a6 6 0 0 0 12 0M12 17.500V21",
  play: "M8 5.500v13l10-6.500z",
  pause: "M8 6v12M16 6v12",
  sun: "M12 8a4 4 0 1 1 0 8 4 4 0 0 1 0-8ZM12 3v1.500M12 19.500V21M3 12h1.500M19.500 12H21M5.600 5.600l1 1M17.400 17.400l1 1M5.600 18.400l1-1M17.400 6.600l1-1",
  moon: "M20 14.500A8 8 0 1 1 9.500 4a6.500 6.500 0 0 0 10.500 10.500Z",
  system: "M4 5h16v11H4zM9 20h6M12 16v4",
  language: "M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18ZM3.500 9h17M3.500 15h17M12 3c-5 5.500-5 12.500 0 18M12 3c5 5.500 5 12.500 0 18",
  agent: "M12 4a4 4 0 1 1 0 8 4 4 0 0 1 0-8ZM4.500 20a7.500 7.500 0 0 1 15 0",
  chat: "M5 5h14v11H11l-4 3.500V16H5z",
  key: "M15 4a5 5 0 1 1-3.600 8.500L5 19v-2.500H7.500V14H10l1.400-1.500M15.500 8.500h.01",
  help: "M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18ZM9.500 9.500a2.500 2.500 0 1 1 3.600 2.200c-.7.4-1.100.9-1.100 1.800M12 16.500h.01",
  clock: "M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18ZM12 7.500V12l3 2",
  warning: "M12 4l9 16H3zM12 10v4.500M12 17.200h.01",
  volume: "M4 9.500v5h3.500L12 18.500v-13L7.500 9.500zM16 9a4.500 4.500 0 0 1 0 6M18.500 6.500a8 8 0 0 1 0 11",
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name, turns }: { name: IconName; turns?: boolean }): JSX.Element {
  return (
    <svg class={turns ? "icon turns" : "icon"} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  );
}
