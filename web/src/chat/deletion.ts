// Deletes a chat on the server and in this browser.
import { call, LONG_PATIENCE_MS, Refusal } from "../shared/http";
import { type Chat, dropChat } from "./chats";
import { deleteSession } from "./documents";
import { posted } from "./session";

function onServer(chat: Chat): Promise<void> {
  if (chat.kind === "documents") return deleteSession(chat);
  const path = chat.kind === "agent" ? `/api/v1/session/${chat.id}` : `/chat/${chat.id}`;
  return call("DELETE", path, { patience: LONG_PATIENCE_MS });
}

export async function deleteChat(chat: Chat): Promise<void> {
  // Else its first message might begin it after that.
  await posted(chat);
  try {
    await onServer(chat);
  } catch (error) {
    // It was deleted before, or never came there.
    if (!(error instanceof Refusal && error.status === 404)) throw error;
  }
  dropChat(chat.id);
}
