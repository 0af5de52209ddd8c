// Owns the numbered stream of what happens, for faces that follow it: the newest are kept, so that one who comes
// back hears what was missed.
import type { StreamEvent } from "../api/contract.ts";

const KEPT = 1000;

export type StreamListener = (id: number, event: StreamEvent) => void;

export interface EventStream {
  publish(event: StreamEvent): void;
  /** Replays what came after `afterId` (null: nothing), or says `gap` where that is no longer kept. */
  listen(afterId: number | null, listener: StreamListener): () => void;
}

export function createEventStream(): EventStream {
  const kept: { readonly id: number; readonly event: StreamEvent }[] = [];
  const listeners = new Set<StreamListener>();
  let lastId = 0;
  return {
    publish(event) {
      lastId += 1;
      kept.push({ id: lastId, event });
      if (kept.length > KEPT) kept.shift();
      for (const listener of [...listeners]) listener(lastId, event);
    },
    listen(afterId, listener) {
      if (afterId !== null) {
        const oldest = kept[0]?.id ?? lastId + 1;
        // An id from an earlier daemon's life may lie ahead of ours.
        if (afterId > lastId || afterId < oldest - 1) listener(lastId, { kind: "gap" });
        else for (const { id, event } of kept) if (id > afterId) listener(id, event);
      }
      const own: StreamListener = (id, event) => listener(id, event);
      listeners.add(own);
      return () => listeners.delete(own);
    },
  };
}
