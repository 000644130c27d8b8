// What the server's console API tells, with the names that it has there.

export type RunActivity = "recording" | "calling" | "writing" | "acting" | "searching" | "listening" | "speaking";

export interface Run {
  session: string;
  message_id: string;
  activity: RunActivity;
  started_ms: number;
  waiting: number;
  text_bytes: number;
  watchers: number;
}

export interface Session {
  session: string;
  activity: "asleep" | "loading" | "idle" | "running" | "broken";
  waiting: number;
  watchers: number;
  last_seq: number;
  last_event: "none" | "message" | "step" | "completed" | "cancelled" | "failed" | "other";
  last_event_ms: number;
  used_ms: number;
}

export interface Provider {
  name: string;
  model: string;
  offline: boolean;
  named: boolean;
  in_flight: number;
  /** 0: no limit. */
  in_flight_max: number;
  waiting: number;
  queue_max: number;
  breaker: "none" | "closed" | "open" | "half_open";
  open_for_ms: number;
  answered: number;
  failed: number;
  cancelled: number;
  tokens_in: number;
  tokens_out: number;
  /** Of the last minute; null when there was no call. */
  first_text_ms: number | null;
  answer_ms: number | null;
  /** Of those tokens, which are those that the provider told; null where its prices are not known. */
  cost: { amount: number; currency: string } | null;
}

export interface Storage {
  file_bytes: number;
  /** Null where it cannot be told. */
  log_bytes: number | null;
  memory_bytes: number;
  compaction_pending_bytes: number;
  compactions_running: number;
  disk_free_bytes: number;
  disk_bytes: number;
  refuses_writes: boolean;
}

export interface Node {
  version: string;
  environment: string;
  cores: number;
  uptime_s: number;
  ready: boolean;
  stopping: boolean;
}

export const SERIES = [
  "runs", "model_in_flight", "model_queued", "messages_per_s", "completed_per_s", "failed_per_s", "tokens_in_per_s", "tokens_out_per_s",
  "first_token_p50_ms", "first_token_p95_ms", "sync_p50_ms", "sync_p95_ms", "records_per_s", "connections", "watchers", "sessions_awake",
  "bytes_sent_per_s", "requests_per_s", "cpu_percent", "memory_bytes", "store_bytes",
] as const;
export type Series = (typeof SERIES)[number];

/** Null where nothing was measured. */
export type Sample = { at_ms: number } & Record<Series, number | null>;

export interface State {
  at_ms: number;
  nodes: Node[];
  runs: { total: number; once: number; oldest: Run[] };
  sessions: { awake: number; watched: number; last_used: Session[] };
  providers: Provider[];
  storage?: Storage;
  connections: {
    http: number;
    chat_sockets: number;
    chat_streams: number;
    message_streams: number;
    client_sockets: number;
    consoles: number;
  };
  sample?: Sample;
}

export interface History {
  step_ms: number;
  at_ms: number[];
  series: Record<Series, (number | null)[]>;
}

export interface LogEvent {
  seq: number;
  cursor: string;
  time: string;
  type: "message_accepted" | "step_recorded" | "run_ended" | "run_failed" | "lifecycle_changed" | "documents_stored";
  message_id?: string;
  [member: string]: unknown;
}

export interface LogPage {
  session: string;
  last: number;
  events: LogEvent[];
}
