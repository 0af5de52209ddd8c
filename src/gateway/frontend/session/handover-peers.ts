// The daemons before and after this one in a handover. Each finishes the calls that it has in flight, while their client's next
// message may come to any of these daemons.

export type Side = "previous" | "next";

/** A client's JSON-RPC notification, or its answer to a question. */
export interface ClientMessage {
  /** SHA-256 of the session's id. */
  readonly hash: string;
  readonly text: string;
}

interface Receiver {
  /** Takes a message about a call that may be in flight there, or in a daemon on the other side of it. */
  send(message: ClientMessage): void;
}

export class HandoverPeers<Neighbour extends Receiver = Receiver> {
  previous: Neighbour | null = null;
  next: Neighbour | null = null;

  /**
   * Passes on a message that belongs to no call of this daemon. `from`: the side on which it came, null for the client's
   * own connection. Nothing goes back to where it came from, so that each daemon gets it once.
   */
  pass(message: ClientMessage, from: Side | null): void {
    if (from !== "previous") this.previous?.send(message);
    if (from !== "next") this.next?.send(message);
  }
}
