// What one chat's stream adds up to, what waits to be sent to it, and what a browser keeps of it. The stream
// is the client library's. Knows nothing of pages.
export { StreamConnection, type StreamState } from "parlance-client/stream_connection";
export { TranscriptCache } from "./cache";
export { epochOf, type Frame, FROM_START, type Usage } from "./frames";
export { nextGrowth } from "./growth";
export { type Held, Outbox, type Sent, type Unsent } from "./outbox";
export { answerOf, apply, EMPTY, type Outcome, type Phase, phaseOf, restored, type Run, type Step, type Transcript } from "./transcript";
