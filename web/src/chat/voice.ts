// Recording, sending and playing of voice messages; for chats with an agent.
import { call, LONG_PATIENCE_MS, Refusal, send } from "../shared/http";
import { Store } from "../shared/store";

export interface Recorded {
  href: string;
  type: string;
  duration_ms: number | null;
}

interface Message {
  id: string;
  role: "user" | "assistant";
  content_type: "text" | "voice";
  reply_to: string | null;
  audio: Recorded | null;
  created_at: string;
}

export interface VoiceOfRun {
  question: Recorded | null;
  answer: Recorded | null;
}

const KINDS = ["audio/webm;codecs=opus", "audio/webm", "audio/ogg;codecs=opus", "audio/mp4"];

/** One recording in progress. */
export class Recording {
  readonly startedAt = Date.now();
  private readonly pieces: Blob[] = [];

  private constructor(
    private readonly recorder: MediaRecorder,
    private readonly stream: MediaStream,
  ) {
    recorder.ondataavailable = ({ data }) => data.size > 0 && this.pieces.push(data);
  }

  static supported(): boolean {
    return typeof MediaRecorder !== "undefined" && !!navigator.mediaDevices?.getUserMedia;
  }

  /** Asks for the microphone. */
  static async start(): Promise<Recording> {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true } });
    try {
      const mimeType = KINDS.find((kind) => MediaRecorder.isTypeSupported(kind));
      const recorder = new MediaRecorder(stream, mimeType ? { mimeType } : {});
      const recording = new Recording(recorder, stream);
      recorder.start(500);
      return recording;
    } catch (error) {
      for (const track of stream.getTracks()) track.stop();
      throw error;
    }
  }

  /** The recording, complete. */
  async stop(): Promise<Blob> {
    await new Promise<void>((resolve) => {
      this.recorder.onstop = () => resolve();
      if (this.recorder.state === "inactive") resolve();
      else this.recorder.stop();
    });
    this.release();
    return new Blob(this.pieces, { type: this.recorder.mimeType });
  }

  discard(): void {
    if (this.recorder.state !== "inactive") this.recorder.stop();
    this.release();
  }

  private release(): void {
    for (const track of this.stream.getTracks()) track.stop();
  }
}

/** Sends a recording; resolves when it was answered. Its transcript and answer come with the chat's stream. With one `key` it is taken once. */
export async function sendRecording(session: string, recording: Blob, language: string, key: string): Promise<void> {
  const form = new FormData();
  form.append("session_id", session);
  form.append("language", language);
  form.append("file", recording, `recording.${/\/(\w+)/.exec(recording.type)?.[1] ?? "webm"}`);
  const response = await send("POST", "/api/v1/message/voice", { body: form, headers: { Accept: "application/json", "Idempotency-Key": key }, patience: LONG_PATIENCE_MS });
  await response.body?.cancel();
}

/** Hears, answers or speaks again, from where it failed. */
export async function retryVoice(session: string, messageId: string): Promise<void> {
  await call("POST", `/api/v1/message/${messageId}/retry`, { body: { session_id: session }, patience: LONG_PATIENCE_MS });
}

/** The recordings of a session, by the id of the user's message. */
export async function recordingsOf(session: string): Promise<Map<string, VoiceOfRun>> {
  const found = new Map<string, VoiceOfRun>();
  let cursor: string | null = null;
  do {
    const query: URLSearchParams = new URLSearchParams({ limit: "1000", ...(cursor && { cursor }) });
    const page: { items: Message[]; next_cursor: string | null } = await call("GET", `/api/v1/message/conversion/${session}?${query}`);
    for (const message of page.items) {
      if (message.content_type !== "voice") continue;
      const id = message.reply_to ?? message.id;
      const voice = found.get(id) ?? { question: null, answer: null };
      if (message.audio) voice[message.role === "user" ? "question" : "answer"] = message.audio;
      found.set(id, voice);
    }
    cursor = page.next_cursor;
  } while (cursor);
  return found;
}

// ---- Playing: one at a time ----

export interface Playing {
  href: string;
  state: "loading" | "playing" | "failed";
  error?: string;
}

export const playing = new Store<Playing | null>(null);
let player: HTMLAudioElement | undefined;

/** Plays, or stops what plays already. An element of audio cannot send a credential, so it is fetched. */
export async function toggle(href: string): Promise<void> {
  const same = playing.get()?.href === href && playing.get()?.state !== "failed";
  stopPlaying();
  if (same) return;
  playing.set({ href, state: "loading" });
  try {
    const url = URL.createObjectURL(await (await send("GET", href)).blob());
    if (playing.get()?.href !== href) return URL.revokeObjectURL(url);
    player = new Audio(url);
    player.onended = stopPlaying;
    await player.play();
    playing.set({ href, state: "playing" });
  } catch (error) {
    const why = error instanceof Refusal || error instanceof Error ? error.message : "";
    if (playing.get()?.href === href) playing.set({ href, state: "failed", error: why });
  }
}

export function stopPlaying(): void {
  if (player) {
    player.pause();
    URL.revokeObjectURL(player.src);
    player = undefined;
  }
  playing.set(null);
}
