// The new daemon's side of a handover: it says that it is ready, waits until the home is free, and takes the door. When
// the old one has gone instead, the home is free as well.

import type { OtherDaemon, StateKey, SuspendedCalls } from "../../gateway/front/suspended/suspended-calls.ts";
import type { GivenDoor } from "../../gateway/serving/gateway-contract.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { groupsGone } from "../../runtime/process/process-identity.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import {
  type ClientWords,
  type LateSession,
  NEEDED_MARK,
  type SaidByNew,
  type SaidByOld,
  SUCCESSOR_MARK,
  saidIn,
} from "./link-messages.ts";
import { PassedRequests } from "./passed-requests.ts";

/** Of what clients say about calls that the old one finishes; more at a time, or longer, is dropped. */
const MOST_WORDS = 256;
const LONGEST_WORDS = 4 * 1024 * 1024;

export type Predecessor = NonNullable<ReturnType<typeof findPredecessor>>;

interface SessionsOfOld {
  keep(session: LateSession): Promise<unknown>;
  /** The session's client has ended it there. */
  end(hash: string): void;
}

/** Null: this daemon follows none. Takes the mark out of the environment. */
export function findPredecessor(self: NodeJS.Process, clock: Clock) {
  const isMarked = self.env[SUCCESSOR_MARK] === "1";
  const isNeeded = self.env[NEEDED_MARK] === "1";
  delete self.env[SUCCESSOR_MARK];
  delete self.env[NEEDED_MARK];
  if (!isMarked || self.send === undefined || !self.connected) return null;
  const turn = Promise.withResolvers<GivenDoor | null>();
  const ended = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  const sessions = Promise.withResolvers<SessionsOfOld>();
  const connections = Promise.withResolvers<(handle: object) => void>();
  let once: readonly number[] = [];
  let words = 0;
  const say = (message: SaidByNew): Promise<void> =>
    new Promise((resolve) => {
      if (!self.connected) resolve();
      else self.send?.(message, undefined, undefined, () => resolve());
    });
  let states: StateKey | null = null;
  let passed: PassedRequests | null = null;
  const end = (): void => {
    once = [];
    ended.resolve();
  };
  const hear = (message: SaidByOld, handle: unknown): void => {
    if (message.say === "go") {
      once = message.once ?? [];
      states = message.states ?? null;
      const isDoor = message.door !== null && typeof handle === "object" && handle !== null;
      turn.resolve(isDoor && message.door !== null ? { address: message.door, handle } : null);
    } else if (message.say === "ended") end();
    else if (message.say === "session_ended") void sessions.promise.then(({ end }) => end(message.hash));
    else if (message.say === "session") {
      const { n } = message;
      const kept = sessions.promise.then(({ keep }) => keep(message));
      // One that cannot be kept, as of another version, is begun anew by its client.
      void kept.catch(() => {}).then(() => say({ say: "kept", n }));
    } else if (message.say === "connection") {
      const isHandle = typeof handle === "object" && handle !== null;
      if (isHandle) void connections.promise.then((take) => take(handle));
      void say({ say: "kept", n: message.n });
    } else passed?.hear(message);
  };
  self.on("message", (message, handle) => {
    if (saidIn(message) !== undefined) hear(message as SaidByOld, handle);
  });
  self.once("disconnect", () => {
    turn.resolve(null);
    gone.resolve();
    // However it ended: what it leaves behind is ended by others, and takes its time.
    void groupsGone(once, clock).then(end);
    passed?.over();
  });
  return {
    /** The old one has given up what it alone had: nobody else looks after the shares, whatever the file holds by now. */
    isNeeded,
    /** Resolves when the old one has ended: nothing gets there any more. */
    gone: gone.promise,
    /** Says that everything is built, and resolves when the home is free; the door is null when it has to be opened. */
    turn(ready: Omit<Extract<SaidByNew, { say: "ready" }>, "say">): Promise<GivenDoor | null> {
      void say({ say: "ready", ...ready });
      return turn.promise;
    },
    /** Why it will not take over; resolves when that is said. */
    failed: (error: unknown): Promise<void> =>
      say({
        say: "failed",
        message: errorText(error),
        hint: error instanceof MountaineerError ? error.hint : null,
      }),
    /** It was told to end while it took over, or the one after it has ended: the whole service ends. */
    stopped: (): Promise<void> => say({ say: "stopped" }),
    /** This one goes, as another one is in charge: the old one may go on for those it still serves. */
    movedOn: (): void => void say({ say: "moved_on" }),
    /** Passes on what a client said about a call in flight there; dropped when that one has gone. */
    tell({ hash, text }: ClientWords): void {
      if (!self.connected || words >= MOST_WORDS || text.length > LONGEST_WORDS) return;
      words += 1;
      void say({ say: "words", hash, text }).then(() => {
        words -= 1;
      });
    },
    /** The door is taken: the old one takes nobody in any more, and passes its `connections` on. */
    taken(connections: boolean): void {
      void say({ say: "taken", connections });
      self.channel?.unref();
    },
    /** Sessions that clients begin with the old one until it has ended. */
    onSession: sessions.resolve,
    /** Takes connections of the old one that wait between requests, by their handles. Once. */
    onConnection: connections.resolve,
    /** Resolves when what cannot run twice does not run in the old one. */
    ended: ended.promise,
    /** Process groups of what cannot run twice, until then. */
    get once(): readonly number[] {
      return once;
    },
    /** What signs the states that the old one's clients carry; null: it has not said so. */
    get states(): StateKey | null {
      return states;
    },
    /** Passes the old one what belongs there, and takes what it passes. Once. */
    passing(suspended: SuspendedCalls): OtherDaemon {
      passed = new PassedRequests(suspended, (message) => {
        if (!self.connected) return false;
        void say(message);
        return true;
      });
      return passed;
    },
  };
}
