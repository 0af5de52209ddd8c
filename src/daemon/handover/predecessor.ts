// The new daemon's side of a handover: it says that it is ready, waits until the home is free, and takes the door. When
// the old one has gone instead, the home is free as well.

import type { Holds, HoldsElsewhere, StatesOfDaemon } from "../../gateway/front/holds/holds.ts";
import type { GivenDoor } from "../../gateway/serving/gateway-contract.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import type { LateSession, SaidByNew, SaidByOld } from "./link-messages.ts";
import { SUCCESSOR_MARK, saidIn } from "./link-messages.ts";
import { PassedRequests } from "./passed-requests.ts";

export interface Predecessor {
  /** Says that everything is built, and resolves when the home is free; the door is null when it has to be opened. */
  turn(ready: Omit<Extract<SaidByNew, { say: "ready" }>, "say">): Promise<GivenDoor | null>;
  /** Why it will not take over; resolves when that is said. */
  failed(error: unknown): Promise<void>;
  /** The door is taken: the old one takes nobody in any more. */
  taken(): void;
  /** Sessions that clients begin with the old one until it has ended. */
  onSession(keep: (session: LateSession) => Promise<unknown>): void;
  /** Resolves when what cannot run twice does not run in the old one. */
  readonly ended: Promise<void>;
  /** What signs the states that the old one's clients carry; null: it has not said so. */
  readonly states: StatesOfDaemon | null;
  /** Passes the old one what belongs there, and takes what it passes. Once. */
  passing(holds: Holds): HoldsElsewhere;
}

/** Null: this daemon follows none. Takes the mark out of the environment. */
export function findPredecessor(self: NodeJS.Process): Predecessor | null {
  const isMarked = self.env[SUCCESSOR_MARK] === "1";
  delete self.env[SUCCESSOR_MARK];
  if (!isMarked || self.send === undefined || !self.connected) return null;
  const turn = Promise.withResolvers<GivenDoor | null>();
  const ended = Promise.withResolvers<void>();
  const sessions = Promise.withResolvers<(session: LateSession) => Promise<unknown>>();
  const say = (message: SaidByNew): Promise<void> =>
    new Promise((resolve) => {
      if (!self.connected) resolve();
      else self.send?.(message, undefined, undefined, () => resolve());
    });
  let states: StatesOfDaemon | null = null;
  let passed: PassedRequests | null = null;
  const hear = (message: SaidByOld, handle: unknown): void => {
    if (message.say === "go") {
      states = message.states ?? null;
      const isDoor = message.door !== null && typeof handle === "object" && handle !== null;
      turn.resolve(isDoor && message.door !== null ? { address: message.door, handle } : null);
    } else if (message.say === "ended") ended.resolve();
    else if (message.say === "session") {
      const { n } = message;
      void sessions.promise.then((keep) => keep(message)).then(() => say({ say: "kept", n }));
    } else passed?.hear(message);
  };
  self.on("message", (message, handle) => {
    if (saidIn(message) !== undefined) hear(message as SaidByOld, handle);
  });
  self.once("disconnect", () => {
    turn.resolve(null);
    ended.resolve();
    passed?.over();
  });
  return {
    turn(ready) {
      void say({ say: "ready", ...ready });
      return turn.promise;
    },
    failed: (error) =>
      say({
        say: "failed",
        message: errorText(error),
        hint: error instanceof MountaineerError ? error.hint : null,
      }),
    taken() {
      void say({ say: "taken" });
      self.channel?.unref();
    },
    onSession: sessions.resolve,
    ended: ended.promise,
    get states() {
      return states;
    },
    passing(holds) {
      passed = new PassedRequests(holds, (message) => {
        if (!self.connected) return false;
        void say(message);
        return true;
      });
      return passed;
    },
  };
}
