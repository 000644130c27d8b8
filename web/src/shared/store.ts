// A value that parts of a page look at.
import { useEffect, useState } from "preact/hooks";

export class Store<T> {
  private readonly watchers = new Set<(value: T) => void>();

  constructor(private value: T) {}

  get(): T {
    return this.value;
  }

  set(value: T): void {
    if (Object.is(value, this.value)) return;
    this.value = value;
    for (const watcher of [...this.watchers]) watcher(value);
  }

  update(changed: (value: T) => T): void {
    this.set(changed(this.value));
  }

  watch(watcher: (value: T) => void): () => void {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  }
}

export function useStore<T>(store: Store<T>): T {
  const [, tell] = useState(0);
  useEffect(() => {
    let seen = store.get();
    const look = (value: T) => {
      if (Object.is(value, seen)) return;
      seen = value;
      tell((n) => n + 1);
    };
    // It may have changed between the drawing and now.
    tell((n) => n + 1);
    return store.watch(look);
  }, [store]);
  return store.get();
}

/** Forgets everything whose name begins so. */
export function forget(prefix: string, storage: () => Storage = () => localStorage): void {
  try {
    for (const name of Object.keys(storage())) if (name.startsWith(prefix)) storage().removeItem(name);
  } catch {
    // A browser that keeps nothing.
  }
}

/** What is kept in this browser, whether it lets us or not. */
export function kept(name: string, storage: () => Storage = () => localStorage): { get(): string | null; set(value: string | null): void } {
  return {
    get() {
      try {
        return storage().getItem(name);
      } catch {
        return null;
      }
    },
    set(value) {
      try {
        if (value === null) storage().removeItem(name);
        else storage().setItem(name, value);
      } catch {
        // Full, or not allowed: the page works on without.
      }
    },
  };
}
