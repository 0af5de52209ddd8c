// Passes a stream of lines on, byte for byte. A line is sent once it is complete, so that a broken connection leaves no
// half line; only a line longer than the buffer is sent in pieces.
import { createMessageScan, type SeenMessage } from "./message-scan.ts";

const NEWLINE = 0x0a;
/** Of one line. Few messages are longer, and a bridge per agent must cost little. */
const HELD_BYTES = 1024 * 1024;

interface PassageOptions {
  /**
   * Called for each line before it is passed on, with its messages and its bytes, newline included; null if the line
   * was too long to be held and has been passed on already. False keeps it back.
   */
  readonly onLine: (messages: readonly SeenMessage[], line: Buffer | null) => boolean;
  /** Called with the messages of a line whose beginning was cut off, once its end has come. */
  readonly onCut?: (messages: readonly SeenMessage[]) => void;
  readonly write: (bytes: Buffer) => void;
}

export function createPassage({ onLine, onCut, write }: PassageOptions) {
  const scan = createMessageScan();
  let held: Buffer[] = [];
  let size = 0;
  let way: "held" | "passing" | "cut" = "held";

  const take = (piece: Buffer): void => {
    scan.push(piece);
    size += piece.length;
    if (way === "passing") write(piece);
    if (way !== "held") return;
    held.push(piece);
    if (size <= HELD_BYTES) return;
    way = "passing";
    for (const each of held) write(each);
    held = [];
  };
  const complete = (): void => {
    const messages = scan.end();
    const [only] = held;
    const line = held.length === 1 && only !== undefined ? only : Buffer.concat(held);
    const went = way;
    held = [];
    size = 0;
    way = "held";
    if (went === "cut") onCut?.(messages);
    else if (went === "passing") onLine(messages, null);
    else if (onLine(messages, line)) write(line);
  };

  return {
    /** A line has gone on in part. */
    get isMidway() {
      return way !== "held";
    },
    push(chunk: Buffer): void {
      let start = 0;
      for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
        take(chunk.subarray(start, end + 1));
        complete();
        start = end + 1;
      }
      if (start < chunk.length) take(chunk.subarray(start));
    },
    /** Nothing more comes: what is left lacks its newline, and goes on without. */
    end(): void {
      if (size > 0) complete();
    },
    /**
     * The other end is gone: the rest of a line that was passed on in part is dropped. Returns whether there is one. A
     * held line is untouched.
     */
    cut(): boolean {
      if (way !== "passing") return false;
      way = "cut";
      return true;
    },
  };
}
