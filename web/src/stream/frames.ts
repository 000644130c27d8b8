// The frames of /chat/{chat_id}, with the names that they have on the wire.

interface Recorded {
  message_id: string;
  seq: number;
  cursor: string;
}

/** A user's message, once it is durable. */
export interface ClientMessage extends Recorded {
  type: "client_message";
  message: string;
  timestamp: string;
}

export interface AgentStep extends Recorded {
  type: "agent_step";
  step_type: string;
  message: string;
  timestamp: string;
}

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
}

export interface MessageEnd extends Recorded {
  type: "message_end";
  status: "completed" | "cancelled";
  usage?: Usage;
}

/** With `seq`, the end of a message that failed; without, it ends nothing. */
export interface AgentError extends Partial<Recorded> {
  type: "agent_error";
  error: string;
}

export interface AgentDelta {
  type: "agent_delta";
  message_id: string;
  delta: string;
}

/** The text of an unfinished answer so far, in place of what was shown. */
export interface AgentSnapshot {
  type: "agent_snapshot";
  message_id: string;
  text: string;
}

/** The text shown so far is void. */
export interface AgentReset {
  type: "agent_reset";
  message_id: string;
}

/** The first frame of a connection whose place could be served. */
export interface Resumed {
  type: "resumed";
  from: string;
  to: string;
}

/** The first frame of a connection whose place could not: the chat is to be read anew. */
export interface Gap {
  type: "gap";
}

export type Frame =
  | ClientMessage
  | AgentStep
  | MessageEnd
  | AgentError
  | AgentDelta
  | AgentSnapshot
  | AgentReset
  | Resumed
  | Gap;

/** The cursor of the beginning of a chat. */
export const FROM_START = "0-0";

/** The part of a cursor that tells one store's logs from another's. */
export function epochOf(cursor: string): string {
  return cursor.slice(0, cursor.lastIndexOf("-"));
}
