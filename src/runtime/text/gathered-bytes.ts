// Bytes that come piece by piece, gathered for one buffer: many tiny pieces cost little more memory than their bytes.

/** A piece costs a hundred bytes besides its own: so many are joined. */
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

  /** All of them, a lone piece itself; then there are none. */
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
