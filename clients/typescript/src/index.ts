// Client of the Parlance chat server, for Node and browsers. `RestEvent` and `WebSocketEvent` have the
// calls of the KISS AI Stack's client; `ChatStream` is one chat of the step stream, which goes on by
// itself after the connection was lost.
export { ChatStream, FROM_START } from "./chat_stream.js";
export type { ChatOptions, SendOptions } from "./chat_stream.js";
export { ParlanceError } from "./errors.js";
export { RestEvent } from "./rest_event.js";
export type { RestOptions } from "./rest_event.js";
export type { Credentials, FileToStore } from "./stack.js";
export { isTerminal } from "./types.js";
export type {
  AgentDelta,
  AgentError,
  AgentReset,
  AgentSnapshot,
  AgentStep,
  Answer,
  ChatEvent,
  ClientMessage,
  Gap,
  HistoryEntry,
  MessageEnd,
  QueryEvent,
  Scope,
  Session,
} from "./types.js";
export { AnswerStream, WebSocketEvent } from "./web_socket_event.js";
export type { WebSocketOptions } from "./web_socket_event.js";
