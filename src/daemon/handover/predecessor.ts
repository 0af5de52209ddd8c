// The new daemon's side of a handover: reports that it is ready, waits until the home is free, and takes the listening socket.
// The home is also free if the old daemon ends.
import type { InheritedListener } from "../../gateway/serving/gateway-contract.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { groupsGone } from "../../runtime/process/process-identity.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import {
  type Go,
  type MessageFromNew,
  type MessageFromOld,
  messageKind,
  NEEDED_MARK,
  type PassedMessage,
  SUCCESSOR_MARK,
} from "./handover-messages.ts";
import { type OwnSessions, PeerDaemon } from "./peer-daemon.ts";

export type Predecessor = NonNullable<ReturnType<typeof findPredecessor>>;

/** What the daemon before this one has handed over. */
type Handed = Pick<Go, "states" | "sessions" | "secret" | "questions">;

/**
 * Returns the daemon that hands over to this one, or null. Removes the environment variables that announce
 * it, so that child processes do not inherit them.
 */
export function findPredecessor(self: NodeJS.Process, clock: Clock) {
  const isMarked = self.env[SUCCESSOR_MARK] === "1";
  const isNeeded = self.env[NEEDED_MARK] === "1";
  delete self.env[SUCCESSOR_MARK];
  delete self.env[NEEDED_MARK];
  if (!isMarked || self.send === undefined || !self.connected) return null;
  const turn = Promise.withResolvers<InheritedListener | null>();
  const ended = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  const joined = Promise.withResolvers<{ readonly peer: PeerDaemon; readonly own: OwnSessions }>();
  let once: readonly number[] = [];
  const send = (message: MessageFromNew): Promise<void> =>
    new Promise((resolve) => {
      if (!self.connected) resolve();
      else self.send?.(message, undefined, undefined, () => resolve());
    });
  let handed: Handed | null = null;
  const end = (): void => {
    once = [];
    ended.resolve();
  };
  const hear = (message: MessageFromOld, handle: unknown): void => {
    const isHandle = typeof handle === "object" && handle !== null;
    if (message.say === "go") {
      once = message.once;
      handed = message;
      const { door } = message;
      turn.resolve(door !== null && isHandle ? { address: door, handle } : null);
    } else if (message.say === "ended") end();
    else void joined.promise.then(({ peer }) => peer.hear(message));
  };
  self.on("message", (message, handle) => {
    if (messageKind(message) !== undefined) hear(message as MessageFromOld, handle);
  });
  self.once("disconnect", () => {
    turn.resolve(null);
    gone.resolve();
    // If the old daemon has crashed, the warden ends its backends, which takes a moment.
    void groupsGone(once, clock).then(end);
    void joined.promise.then(({ peer }) => peer.over());
  });
  return {
    /**
     * True if the old daemon has already given up the home: this daemon must then start even if the file has
     * errors.
     */
    isNeeded,
    /** Resolves when the old daemon has ended. */
    gone: gone.promise,
    /**
     * Reports that this daemon is ready. Resolves when the home is free, with the listening socket; null if
     * there is no socket.
     */
    turn(ready: Omit<Extract<MessageFromNew, { say: "ready" }>, "say">): Promise<InheritedListener | null> {
      void send({ say: "ready", ...ready });
      return turn.promise;
    },
    /** Reports the reason why this daemon does not take over; resolves when the message is sent. */
    failed: (error: unknown): Promise<void> =>
      send({
        say: "failed",
        message: errorText(error),
        hint: error instanceof MountaineerError ? error.hint : null,
      }),
    /** Reports that the whole service ends: this daemon was stopped, or its own successor has ended. */
    stopped: (): Promise<void> => send({ say: "stopped" }),
    /**
     * Reports that this daemon ends because its successor is in charge. The old daemon may continue to serve
     * its clients.
     */
    movedOn: (): void => void send({ say: "moved_on" }),
    /** Reports that this daemon is in charge. */
    taken(): void {
      void send({ say: "taken" });
      self.channel?.unref();
    },
    /** Resolves when the old daemon's backends that must not run twice have ended. */
    ended: ended.promise,
    /** Process groups of those backends of the old daemon that must not run twice; empty once `ended` has resolved. */
    get once(): readonly number[] {
      return once;
    },
    /** Null: the home is not free yet, or the old daemon has ended without handing over. */
    get handed(): Handed | null {
      return handed;
    },
    /** From now on, each of both daemons gets what clients send to the other one about it. To be called once. */
    join(own: OwnSessions): PeerDaemon {
      const post = (message: PassedMessage, onSent?: () => void): boolean => {
        if (!self.connected) return false;
        void send(message).then(onSent);
        return true;
      };
      const peer = new PeerDaemon(own, { clock, post });
      joined.resolve({ peer, own });
      return peer;
    },
  };
}
