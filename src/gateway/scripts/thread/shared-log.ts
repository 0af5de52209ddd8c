// What a script logs: its beginning and its end, in memory that both threads see. So it is still there when the thread
// is ended in the middle of a loop, and a loop that logs sends no messages.
import { BOUNDS } from "./thread-messages.ts";

const EACH = BOUNDS.logCharacters;
const HEADER_BYTES = Float64Array.BYTES_PER_ELEMENT;

export class SharedLog {
  readonly buffer: SharedArrayBuffer;
  /** How many characters were logged. */
  readonly #written: Float64Array;
  /** The first `EACH` characters, then the last ones as a ring. */
  readonly #stored: Uint16Array;

  constructor(buffer = new SharedArrayBuffer(HEADER_BYTES + 2 * EACH * Uint16Array.BYTES_PER_ELEMENT)) {
    this.buffer = buffer;
    this.#written = new Float64Array(buffer, 0, 1);
    this.#stored = new Uint16Array(buffer, HEADER_BYTES);
  }

  add(line: string): void {
    const text = `${line}\n`;
    const before = this.#written[0] ?? 0;
    const last = text.length - EACH;
    for (let at = 0; at < text.length; at += 1) {
      // What would be overwritten again is not written.
      if (before + at >= EACH) at = Math.max(at, last);
      const index = before + at;
      this.#stored[index < EACH ? index : EACH + (index % EACH)] = text.charCodeAt(at);
    }
    this.#written[0] = before + text.length;
  }

  /** The whole log, or its beginning and its end. */
  get text(): string {
    const written = this.#written[0] ?? 0;
    const part = (from: number, to: number): string => String.fromCharCode(...this.#stored.slice(from, to));
    const head = part(0, Math.min(written, EACH));
    if (written <= EACH) return head;
    const oldest = EACH + (written % EACH);
    const end = written < 2 * EACH ? part(EACH, oldest) : part(oldest, 2 * EACH) + part(EACH, oldest);
    const left = written - 2 * EACH;
    const gap = left > 0 ? `\n… ${left} characters are left out here …\n` : "";
    return (head + gap + end).toWellFormed();
  }
}
