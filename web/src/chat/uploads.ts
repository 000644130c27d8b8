// Files on their way into documents chats. Each upload is an entry of its own until it is stored; it
// outlives a look at another chat.
import { newId, Refusal } from "../shared/http";
import { number } from "../shared/i18n";
import { Store } from "../shared/store";
import type { Chat } from "./chats";
import { storeFiles } from "./documents";
import { t } from "./texts";

export interface Upload {
  /** The same for every try, so that none stores the files twice. */
  key: string;
  files: readonly File[];
  /** Why it is not stored; null while it is on the way. */
  failed: string | null;
  /** Whether the same may be tried again. */
  again: boolean;
}

/** A third less than what a request may have: content travels in base64. */
const FILE_BYTES_MAX = 45 << 20;

/** By chat, in the order in which they were begun. */
export const uploads = new Store<ReadonlyMap<string, readonly Upload[]>>(new Map());

function change(chat: Chat, changed: (all: readonly Upload[]) => readonly Upload[]): void {
  uploads.update((all) => new Map(all).set(chat.id, changed(all.get(chat.id) ?? [])));
}

export function dismissUpload(chat: Chat, key: string): void {
  change(chat, (all) => all.filter((each) => each.key !== key));
}

/** Stores `files`, or tries again to store those of `key`. */
export async function upload(chat: Chat, files: readonly File[], key = newId()): Promise<void> {
  const tell = (failed: string | null, again: boolean) => {
    const now = { key, files, failed, again };
    change(chat, (all) => (all.some((each) => each.key === key) ? all.map((each) => (each.key === key ? now : each)) : [...all, now]));
  };
  const large = files.find((file) => file.size > FILE_BYTES_MAX);
  if (large) return tell(t("tooLarge", { name: large.name, max: number(FILE_BYTES_MAX >> 20, { style: "unit", unit: "megabyte" }) }), false);
  tell(null, false);
  try {
    await storeFiles(chat, files, key);
    dismissUpload(chat, key);
  } catch (error) {
    const refusal = error instanceof Refusal ? error : undefined;
    // Of a file that cannot be read any more the browser says so.
    tell(refusal ? refusal.message || t("unreachable") : error instanceof Error ? error.message : String(error), refusal === undefined || refusal.passing || refusal.status >= 500);
  }
}
