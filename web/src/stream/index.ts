// One chat's stream and what it adds up to. Knows nothing of pages, so that a client library can have it.
export { TranscriptCache } from "./cache";
export { type ConnectionOptions, StreamConnection, type StreamState } from "./connection";
export { epochOf, type Frame, FROM_START, type Usage } from "./frames";
export { Outbox, type Sent, type Unsent } from "./outbox";
export { answerOf, apply, EMPTY, type Outcome, type Phase, phaseOf, restored, type Run, type Step, type Transcript } from "./transcript";
