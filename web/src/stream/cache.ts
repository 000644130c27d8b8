// Transcripts on this device, so that a reload shows them at once and asks only for what is new.
//
// Two tabs may write the same chat. What is kept is always whole: a cursor, and every run with at
// least all its events up to that cursor; so a tab that is behind writes nothing.

import { epochOf } from "./frames";
import { EMPTY, restored, type Run, type Transcript } from "./transcript";

interface Place {
  chat: string;
  cursor: string;
  seq: number;
}

/** So many runs are looked at in one go. */
const BATCH = 200;
const PLACES = "places";
const RUNS = "runs";

function done(request: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    request.oncomplete = () => resolve();
    request.onerror = request.onabort = () => reject(request.error);
  });
}

function result<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

const rangeOf = (chat: string) => IDBKeyRange.bound([chat], [chat, []]);

export class TranscriptCache {
  private readonly database: Promise<IDBDatabase>;

  constructor(name = "parlance") {
    this.database = new Promise((resolve, reject) => {
      const opening = indexedDB.open(name, 1);
      opening.onupgradeneeded = () => {
        opening.result.createObjectStore(PLACES, { keyPath: "chat" });
        opening.result.createObjectStore(RUNS);
      };
      opening.onsuccess = () => resolve(opening.result);
      opening.onerror = () => reject(opening.error);
    });
    this.database.catch(() => {}); // A browser that keeps nothing: every use tells so.
  }

  async load(chat: string): Promise<Transcript> {
    const transaction = (await this.database).transaction([PLACES, RUNS]);
    const [place, runs] = await Promise.all([
      result<Place | undefined>(transaction.objectStore(PLACES).get(chat)),
      result<Run[]>(transaction.objectStore(RUNS).getAll(rangeOf(chat))),
    ]);
    return place ? restored(place.cursor, place.seq, runs) : EMPTY;
  }

  /** Keeps `transcript`, of which `before` was kept last. Answers what is kept of it now. */
  async save(chat: string, transcript: Transcript, before: Transcript): Promise<Transcript> {
    const transaction = (await this.database).transaction([PLACES, RUNS], "readwrite");
    const [places, runs] = [transaction.objectStore(PLACES), transaction.objectStore(RUNS)];
    const there = await result<Place | undefined>(places.get(chat));
    const same = there !== undefined && epochOf(there.cursor) === epochOf(transcript.cursor);
    if (same && there.seq > transcript.seq) return before;

    const all = !same || epochOf(before.cursor) !== epochOf(transcript.cursor);
    if (all) runs.delete(rangeOf(chat));
    transcript.runs.forEach((run, i) => {
      if (all || before.runs[i] !== run) runs.put({ ...run, live: null, stale: false }, [chat, run.id]);
    });
    places.put({ chat, cursor: transcript.cursor, seq: transcript.seq } satisfies Place);
    await done(transaction);
    return transcript;
  }

  /** What `read` finds in the runs that are kept: of each chat the first thing, until `signal`. */
  async find<T>(read: (run: Run) => T | undefined, signal: AbortSignal): Promise<Map<string, T>> {
    const found = new Map<string, T>();
    const runs = (await this.database).transaction(RUNS).objectStore(RUNS);
    for (let range: IDBKeyRange | undefined; !signal.aborted; ) {
      const [keys, some] = await Promise.all([
        result(runs.getAllKeys(range, BATCH)),
        result<Run[]>(runs.getAll(range, BATCH)),
      ]);
      some.forEach((run, i) => {
        const [chat] = keys[i] as [string, string];
        const thing = found.has(chat) ? undefined : read(run);
        if (thing !== undefined) found.set(chat, thing);
      });
      if (some.length < BATCH) break;
      range = IDBKeyRange.lowerBound(keys.at(-1)!, true);
    }
    return found;
  }

  async forget(chat: string): Promise<void> {
    const transaction = (await this.database).transaction([PLACES, RUNS], "readwrite");
    transaction.objectStore(PLACES).delete(chat);
    transaction.objectStore(RUNS).delete(rangeOf(chat));
    await done(transaction);
  }

  async forgetAll(): Promise<void> {
    const transaction = (await this.database).transaction([PLACES, RUNS], "readwrite");
    transaction.objectStore(PLACES).clear();
    transaction.objectStore(RUNS).clear();
    await done(transaction);
  }
}
