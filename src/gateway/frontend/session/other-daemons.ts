// The daemons before and after this one in a handover. Each finishes the calls that it has in flight, while what their clients
// send next, and what they change in their sessions, may come to any of these daemons.
import type { Principal } from "../../client-handle.ts";
import type { SessionChange } from "./session-memory.ts";

export type Side = "previous" | "next";

/** A message of a client to another daemon. */
export interface StrayMessage {
  /** It is about a call or a question of that session, or for that event stream. Absent: for a session. */
  readonly to?: "session" | "stream";
  /** SHA-256 of the session's or the stream's id. */
  readonly hash: string;
  readonly principal: Principal;
  /** JSON. */
  readonly text: string;
}

export interface OtherDaemon {
  /** Resolves with false if neither that daemon nor one behind it knows what the message is about. Never rejects. */
  deliver(message: StrayMessage): Promise<boolean>;
  report(hash: string, change: SessionChange): void;
}

export class OtherDaemons<Daemon extends OtherDaemon = OtherDaemon> {
  previous: Daemon | null = null;
  next: Daemon | null = null;

  /** `from`: the side on which the message came, to which it does not go back; null: the client's own connection. */
  async deliver(message: StrayMessage, from: Side | null = null): Promise<boolean> {
    const taken = await Promise.all(this.#except(from).map((daemon) => daemon.deliver(message)));
    return taken.includes(true);
  }

  report(hash: string, change: SessionChange, from: Side | null = null): void {
    for (const daemon of this.#except(from)) daemon.report(hash, change);
  }

  get isEmpty(): boolean {
    return this.previous === null && this.next === null;
  }

  #except(from: Side | null): readonly Daemon[] {
    return [from === "previous" ? null : this.previous, from === "next" ? null : this.next].filter(
      (daemon) => daemon !== null,
    );
  }
}
