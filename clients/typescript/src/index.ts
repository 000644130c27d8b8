// Client of the Parlance chat server, for Node and browsers. `RestEvent` and `WebSocketEvent` have the
// calls of the KISS AI Stack's client; `ChatStream` is one chat of the step stream, which goes on by
// itself after the connection was lost.
export { ChatStream } from "./chat_stream.js";
export type { ChatOptions, SendOptions } from "./chat_stream.js";
export type { MakeSocket, SocketLike } from "./connection.js";
export { ParlanceError } from "./errors.js";
export { makeSocket } from "./node_socket.js";
export { RestEvent } from "./rest_event.js";
export type { RestOptions } from "./rest_event.js";
export type { Credentials, FileToStore } from "./stack.js";
export { StreamConnection } from "./stream_connection.js";
export type { StreamConnectionOptions, StreamState } from "./stream_connection.js";
export { FROM_START, isTerminal } from "./types.js";
export type {
  AgentDelta,
  AgentError,
  AgentReset,
  AgentSnapshot,
  AgentStep,
  Answer,
  ChatEvent,
  ClientMessage,
  Frame,
  Gap,
  HistoryEntry,
  MessageEnd,
  QueryEvent,
  Resumed,
  Scope,
  Session,
  Usage,
} from "./types.js";
export { AnswerStream, WebSocketEvent } from "./web_socket_event.js";
export type { WebSocketOptions } from "./web_socket_event.js";
