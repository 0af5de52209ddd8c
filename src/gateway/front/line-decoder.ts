// Owns cutting a stream of bytes into lines, none longer than a limit.

const NEWLINE = 0x0a;

export interface LineDecoder {
  /** Takes what has come; `onLine` gets each line that it completes, without its newline. */
  push(chunk: Buffer): void;
  /** Nothing more comes: what is left lacks its newline, and is a line, too. */
  end(): void;
}

/** `onTooLong` is called once for each line over the limit, whose rest is thrown away. */
export function createLineDecoder(
  limitBytes: () => number,
  onLine: (line: Buffer) => void,
  onTooLong: () => void,
): LineDecoder {
  let parts: Buffer[] = [];
  let size = 0;
  let skipping = false;
  const take = (piece: Buffer): void => {
    if (skipping) return;
    size += piece.length;
    if (size <= limitBytes()) {
      parts.push(piece);
      return;
    }
    skipping = true;
    parts = [];
    onTooLong();
  };
  const complete = (): void => {
    const [only] = parts;
    const line = parts.length === 1 && only !== undefined ? only : Buffer.concat(parts);
    const skipped = skipping;
    parts = [];
    size = 0;
    skipping = false;
    if (!skipped) onLine(line);
  };
  return {
    push(chunk) {
      let start = 0;
      for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
        take(chunk.subarray(start, end));
        complete();
        start = end + 1;
      }
      if (start < chunk.length) take(chunk.subarray(start));
    },
    end() {
      if (size > 0) complete();
    },
  };
}
