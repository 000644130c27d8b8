// What the server answers, with the names that it has on the wire.

export type Scope = "temporary" | "persistent";

/** The answer of `authorizeStack`. Keep `client_id` and `client_secret` of a persistent one. */
export interface Session {
  session_id: string;
  access_token: string;
  token_type: string;
  expires_in: number;
  client_id: string;
  client_secret: string;
  scope: Scope;
}

/** The answer of every other call. `extras` of a query names the tool and the passages used. */
export interface Answer {
  stack_id: string | null;
  result: string;
  extras: Record<string, any>;
}

/** An entry of a chat's history. */
export interface HistoryEntry {
  role: "user" | "agent";
  content: string;
  step_type: string | null;
  timestamp: string;
  message_id: string;
  seq: number;
}

interface Recorded {
  message_id: string;
  chat_id: string;
  seq: number;
  cursor: string;
}

/** A user's message, once it is durable. */
export interface ClientMessage extends Recorded {
  type: "client_message";
  message: string;
  timestamp: string;
}

/** `PlanningStep`, `ActionStep`, `FinalAnswerStep`, `PartialAnswerStep`; of a voice message also `TranscriptStep`, `AudioStep`. */
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

/** The end of a message. */
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

/** More text of the answer; the step that follows replaces all of it. */
export interface AgentDelta {
  type: "agent_delta";
  message_id: string;
  chat_id: string;
  delta: string;
}

/** The text of an unfinished answer so far, in place of what was shown. */
export interface AgentSnapshot {
  type: "agent_snapshot";
  message_id: string;
  chat_id: string;
  text: string;
}

/** The text shown so far is void: the model call was started anew. */
export interface AgentReset {
  type: "agent_reset";
  message_id: string;
  chat_id: string;
}

/** The place cannot be served: what is shown is to be replaced by `history`. */
export interface Gap {
  type: "gap";
  history: HistoryEntry[];
}

/** The first frame of a connection whose place could be served: what comes between the two was missed. */
export interface Resumed {
  type: "resumed";
  from: string;
  to: string;
}

/** The cursor of the beginning of a chat. */
export const FROM_START = "0-0";

/** What a chat tells. */
export type ChatEvent =
  | ClientMessage
  | AgentStep
  | MessageEnd
  | AgentError
  | AgentDelta
  | AgentSnapshot
  | AgentReset
  | Gap;

/** What a connection of a chat tells. */
export type Frame = ChatEvent | Resumed;

/** What a streamed query tells before its answer. */
export type QueryEvent = AgentStep | AgentDelta | AgentReset;

/** Whether this is the last event of its message. */
export function isTerminal(event: ChatEvent): event is MessageEnd | AgentError {
  return event.type === "message_end" || (event.type === "agent_error" && event.seq !== undefined);
}
