// Passes on what the server sends, each frame once all of it is there: a client that has had half an answer can be told
// nothing else when the server is lost.
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

interface WholeAnswers {
  /** The client has had a part of a frame, and not yet the rest. */
  readonly isHalfPassed: boolean;
  /** `bytes` are the caller's again once the client has taken them; the client is corked. `ends`: a frame ends with them. */
  pass(bytes: Buffer, ends: boolean): void;
  drop(): void;
}

export function createWholeAnswers(client: Socket, all: HeldAnswers): WholeAnswers {
  let parts: Buffer[] = [];
  let partBytes = 0;
  let isHalfPassed = false;

  const drop = (): void => {
    all.heldBytes -= partBytes;
    parts = [];
    partBytes = 0;
  };
  const mayHold = (bytes: number): boolean =>
    !isHalfPassed && partBytes + bytes <= FRAME_AT_MOST_BYTES && all.heldBytes + bytes <= ALL_AT_MOST_BYTES;
  return {
    get isHalfPassed() {
      return isHalfPassed;
    },
    pass(bytes, ends) {
      const cost = Math.max(bytes.length, PART_COSTS_BYTES);
      if (!ends && mayHold(cost)) {
        parts.push(Buffer.from(bytes));
        partBytes += cost;
        all.heldBytes += cost;
        return;
      }
      for (const part of parts) client.write(part);
      client.write(bytes);
      drop();
      isHalfPassed = !ends;
    },
    drop,
  };
}
