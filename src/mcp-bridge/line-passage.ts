// Reads a stream of lines. A line is reported once it is complete, so that a broken connection leaves no half line; only a line
// longer than the buffer is reported in pieces.
import { createMessageScan, type ScannedMessage } from "./message-scan.ts";

const NEWLINE = 0x0a;
/** Longest line that is buffered, bytes: longer than most messages, and small enough for one bridge per agent. */
const BUFFERED_BYTES = 1024 * 1024;

interface PassageOptions {
  /** A complete line, with its newline. */
  readonly onLine: (messages: readonly ScannedMessage[], line: Buffer) => void;
  /** A piece of a line that is too long to buffer. */
  readonly onPiece: (bytes: Buffer) => void;
  /** A line that was reported in pieces is complete. */
  readonly onLongLine: (messages: readonly ScannedMessage[]) => void;
  /** A line that `cut` has dropped is complete. */
  readonly onCut?: (messages: readonly ScannedMessage[]) => void;
}

export function createPassage({ onLine, onPiece, onLongLine, onCut }: PassageOptions) {
  let scan = createMessageScan();
  let buffered: Buffer[] = [];
  let size = 0;
  let state: "buffering" | "passing" | "cut" = "buffering";

  const take = (piece: Buffer): void => {
    scan.push(piece);
    size += piece.length;
    if (state === "passing") onPiece(piece);
    if (state !== "buffering") return;
    buffered.push(piece);
    if (size <= BUFFERED_BYTES) return;
    state = "passing";
    for (const each of buffered) onPiece(each);
    buffered = [];
  };
  const complete = (): void => {
    const messages = scan.end();
    const [only] = buffered;
    const line = buffered.length === 1 && only !== undefined ? only : Buffer.concat(buffered);
    const before = state;
    scan = createMessageScan();
    buffered = [];
    size = 0;
    state = "buffering";
    if (before === "cut") onCut?.(messages);
    else if (before === "passing") onLongLine(messages);
    else onLine(messages, line);
  };

  return {
    push(chunk: Buffer): void {
      let start = 0;
      for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
        take(chunk.subarray(start, end + 1));
        complete();
        start = end + 1;
      }
      if (start < chunk.length) take(chunk.subarray(start));
    },
    /** The input has ended: a last line may lack its newline. */
    end(): void {
      if (size > 0) complete();
    },
    /**
     * Call when the receiver is gone. Returns true if a line was reported in part; the rest of that line is dropped. A
     * buffered line stays buffered.
     */
    cut(): boolean {
      if (state !== "passing") return false;
      state = "cut";
      return true;
    },
  };
}
