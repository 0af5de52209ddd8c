// The client's input: passed on while there is a receiver. Otherwise the bridge reads a bounded amount, to notice the end of
// the input; the rest waits in the pipe.
import type { Readable } from "node:stream";

const RETAINED_BYTES = 64 * 1024;

export interface InputTaker {
  /** Returns false if the buffer is full; then the receiver calls `more` when there is room. */
  push(chunk: Buffer): boolean;
  end(): void;
}

/**
 * `onEnd` is called when the input ends while there is no receiver. Reading starts with the first receiver and ends at
 * disposal.
 */
export function openClientInput(input: Readable, onEnd: () => void) {
  let taker: InputTaker | null = null;
  let retained: Buffer[] = [];
  let retainedBytes = 0;
  let ended = false;
  let begun = false;

  const onData = (chunk: Buffer): void => {
    if (taker !== null) {
      if (!taker.push(chunk)) input.pause();
      return;
    }
    retained.push(chunk);
    retainedBytes += chunk.length;
    if (retainedBytes >= RETAINED_BYTES) input.pause();
  };
  const onInputEnd = (): void => {
    ended = true;
    if (taker === null) onEnd();
    else taker.end();
  };
  return {
    /** The input has ended, though some of it may still be kept. */
    get ended() {
      return ended;
    },
    /** Sets the receiver, which gets the kept input first. */
    handTo(next: InputTaker): void {
      taker = next;
      const chunks = retained;
      retained = [];
      retainedBytes = 0;
      for (const chunk of chunks) next.push(chunk);
      if (ended) next.end();
      else if (!begun) input.on("data", onData).once("end", onInputEnd);
      else input.resume();
      begun = true;
    },
    /** Removes the receiver: further input is kept for the next one. */
    keep(): void {
      if (taker === null) return;
      taker = null;
      input.resume();
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
