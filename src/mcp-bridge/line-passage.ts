// Reads a stream of lines. A line is reported once it is complete, so that a broken connection leaves no half line.
import { GatheredBytes } from "../runtime/text/gathered-bytes.ts";
import { createMessageScan, type ScannedMessage } from "./message-scan.ts";

const NEWLINE = 0x0a;
/** Longest line, bytes: twice what a gateway takes by default. */
export const LONGEST_LINE_BYTES = 128 * 1024 * 1024;

interface PassageOptions {
  /** A complete line, with its newline. */
  readonly onLine: (messages: readonly ScannedMessage[], line: Buffer) => void;
  /** A line that is too long is complete; it is dropped. */
  readonly onTooLong: (messages: readonly ScannedMessage[]) => void;
  readonly longest?: number;
}

export function createPassage({ onLine, onTooLong, longest = LONGEST_LINE_BYTES }: PassageOptions) {
  const line = new GatheredBytes();
  let scan = createMessageScan();
  let isTooLong = false;

  const take = (piece: Buffer): void => {
    scan.push(piece);
    if (!isTooLong) line.push(piece);
    if (line.length <= longest) return;
    isTooLong = true;
    line.clear();
  };
  const complete = (): void => {
    const messages = scan.end();
    scan = createMessageScan();
    if (isTooLong) onTooLong(messages);
    else onLine(messages, line.take());
    isTooLong = false;
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
      if (isTooLong || line.length > 0) complete();
    },
  };
}
