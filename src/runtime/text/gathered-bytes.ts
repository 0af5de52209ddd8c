// Collects pieces of bytes for one buffer. Many tiny pieces take little more memory than their bytes.

/** This many pieces are joined into one, because each piece has an overhead of 100 bytes. */
const LOOSE_PIECES = 1_024;

export class GatheredBytes {
  length = 0;
  #pieces: Buffer[] = [];
  #loose = 0;

  push(piece: Buffer): void {
    this.length += piece.length;
    this.#pieces.push(piece);
    this.#loose += 1;
    if (this.#loose < LOOSE_PIECES) return;
    this.#loose = 0;
    this.#pieces.push(Buffer.concat(this.#pieces.splice(-LOOSE_PIECES)));
  }

  /** Removes and returns all bytes. A single piece is returned without a copy. */
  take(): Buffer {
    const [first] = this.#pieces;
    const all =
      first !== undefined && this.#pieces.length === 1 ? first : Buffer.concat(this.#pieces, this.length);
    this.clear();
    return all;
  }

  clear(): void {
    this.#pieces = [];
    this.#loose = 0;
    this.length = 0;
  }
}
