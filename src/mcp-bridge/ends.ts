// The two ends of an MCP client that started its server: its input and its output.
import type { Readable, Writable } from "node:stream";

export interface BridgeEnds {
  readonly input: Readable;
  readonly output: Writable;
  /** Leaves at once. */
  readonly signal: AbortSignal;
}

/**
 * Many clients ask for the lists once, right after the handshake; they are notified of tools that start later than
 * this.
 */
export const FIRST_LISTS_MS = 5_000;
