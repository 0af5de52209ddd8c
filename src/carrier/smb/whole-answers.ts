// Passes on the server's frames whole: a client that has got half an answer cannot be given another one when the server
// is lost.
import type { Socket } from "node:net";

/** What rclone reads at once, with its header. A larger frame passes as it comes. */
const FRAME_AT_MOST_BYTES = 1_100_000;
/** Of all connections of a share together; what comes beyond that passes as it comes. */
const ALL_AT_MOST_BYTES = 64 * 1024 * 1024;

/** At least: a server that sends bytes one by one costs more than them. */
const PART_COSTS_BYTES = 256;

/** Of one share, over all its connections. */
export interface HeldAnswers {
  heldBytes: number;
}

/** What the server has sent of a frame that is not whole yet. */
export class WholeAnswers {
  readonly #client: Socket;
  readonly #all: HeldAnswers;
  #parts: Buffer[] = [];
  #partBytes = 0;
  #isHalfPassed = false;

  constructor(client: Socket, all: HeldAnswers) {
    this.#client = client;
    this.#all = all;
  }

  /** The client has had a part of a frame, and not yet the rest. */
  get isHalfPassed(): boolean {
    return this.#isHalfPassed;
  }

  /** `bytes` are the caller's again once the client has taken them; the client is corked. `ends`: a frame ends with them. */
  pass(bytes: Buffer, ends: boolean): void {
    const cost = Math.max(bytes.length, PART_COSTS_BYTES);
    if (!ends && this.#mayHold(cost)) {
      this.#parts.push(Buffer.from(bytes));
      this.#partBytes += cost;
      this.#all.heldBytes += cost;
      return;
    }
    for (const part of this.#parts) this.#client.write(part);
    this.#client.write(bytes);
    this.drop();
    this.#isHalfPassed = !ends;
  }

  drop(): void {
    if (this.#partBytes === 0) return;
    this.#all.heldBytes -= this.#partBytes;
    this.#parts = [];
    this.#partBytes = 0;
  }

  #mayHold(bytes: number): boolean {
    if (this.#isHalfPassed || this.#partBytes + bytes > FRAME_AT_MOST_BYTES) return false;
    return this.#all.heldBytes + bytes <= ALL_AT_MOST_BYTES;
  }
}
