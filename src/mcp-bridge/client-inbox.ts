// The client's input: passed on while there is a receiver. Otherwise a bounded amount is kept, to notice when the
// client leaves; the rest waits in the pipe.
import type { Readable } from "node:stream";

const KEPT_BYTES = 64 * 1024;

export interface InboxTaker {
  /** Returns whether there is room for more; if not, `more` is called when there is. */
  push(chunk: Buffer): boolean;
  /** The client has ended its input. */
  end(): void;
}

/**
 * `onEnd` is called when the client ends its input while nobody takes it. Nothing is read before the first receiver,
 * and nothing after disposal.
 */
export function openInbox(input: Readable, onEnd: () => void) {
  let taker: InboxTaker | null = null;
  let kept: Buffer[] = [];
  let keptBytes = 0;
  let ended = false;
  let begun = false;

  const onData = (chunk: Buffer): void => {
    if (taker !== null) {
      if (!taker.push(chunk)) input.pause();
      return;
    }
    kept.push(chunk);
    keptBytes += chunk.length;
    if (keptBytes >= KEPT_BYTES) input.pause();
  };
  const onInputEnd = (): void => {
    ended = true;
    if (taker === null) onEnd();
    else taker.end();
  };
  return {
    /** The client has said all, though some of it may still be kept. */
    get ended() {
      return ended;
    },
    /** What is kept goes first. */
    handTo(next: InboxTaker): void {
      taker = next;
      const chunks = kept;
      kept = [];
      keptBytes = 0;
      let hasRoom = true;
      for (const chunk of chunks) hasRoom = next.push(chunk);
      if (ended) next.end();
      else if (!begun) input.on("data", onData).once("end", onInputEnd);
      else if (hasRoom) input.resume();
      begun = true;
    },
    /** There is no receiver for now. */
    keep(): void {
      taker = null;
      if (begun && keptBytes < KEPT_BYTES) input.resume();
    },
    more(): void {
      if (taker !== null) input.resume();
    },
    [Symbol.dispose]() {
      taker = null;
      input.off("data", onData).off("end", onInputEnd).pause();
    },
  };
}
