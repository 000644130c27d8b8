// The frames of /chat/{chat_id}, which the client library knows.
export { FROM_START } from "parlance-client/types";
export type { Frame, Usage } from "parlance-client/types";

/** The part of a cursor that tells one store's logs from another's. */
export function epochOf(cursor: string): string {
  return cursor.slice(0, cursor.lastIndexOf("-"));
}
