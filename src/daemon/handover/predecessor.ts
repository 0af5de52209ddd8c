// The new daemon's side of a handover: reports that it is ready, waits until the home is free, and takes the listening socket.
// The home is also free if the old daemon ends.
import type { HandedOffStream } from "../../gateway/frontend/http/passed-connections.ts";
import type { StoredSession } from "../../gateway/frontend/session/session-file.ts";
import type { StateKey } from "../../gateway/frontend/suspended/suspended-calls.ts";
import type { InheritedListener } from "../../gateway/serving/gateway-contract.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { groupsGone } from "../../runtime/process/process-identity.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import {
  type LateSession,
  type MessageFromNew,
  type MessageFromOld,
  messageKind,
  NEEDED_MARK,
  SUCCESSOR_MARK,
} from "./handover-messages.ts";
import { type OwnCalls, PeerDaemon } from "./peer-daemon.ts";

export type Predecessor = NonNullable<ReturnType<typeof findPredecessor>>;

interface SessionsOfOld {
  keep(session: LateSession): Promise<StoredSession | undefined>;
  /** Called when a client has ended its session at the old daemon. */
  end(hash: string): void;
}

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
  const sessions = Promise.withResolvers<SessionsOfOld>();
  const connections = Promise.withResolvers<(handle: object, stream: HandedOffStream | null) => void>();
  let once: readonly number[] = [];
  const send = (message: MessageFromNew): Promise<void> =>
    new Promise((resolve) => {
      if (!self.connected) resolve();
      else self.send?.(message, undefined, undefined, () => resolve());
    });
  let states: StateKey | null = null;
  let peer: PeerDaemon | null = null;
  const end = (): void => {
    once = [];
    ended.resolve();
  };
  const hear = (message: MessageFromOld, handle: unknown): void => {
    const isHandle = typeof handle === "object" && handle !== null;
    if (message.say === "go") {
      once = message.once;
      states = message.states;
      const { door } = message;
      turn.resolve(door !== null && isHandle ? { address: door, handle } : null);
    } else if (message.say === "ended") end();
    else if (message.say === "session_ended") void sessions.promise.then(({ end }) => end(message.hash));
    else if (message.say === "session") {
      const { n } = message;
      const stored = sessions.promise.then(({ keep }) => keep(message));
      // Acknowledged even if the session cannot be stored (by another version, for example): its client then
      // begins a new one.
      void stored
        .catch(() => {})
        .then((stored) => (stored === "lost" ? undefined : send({ say: "kept", n })));
    } else if (message.say === "connection" || message.say === "stream") {
      const stream = message.say === "stream" ? message.stream : null;
      if (isHandle) void connections.promise.then((take) => take(handle, stream));
      void send({ say: "kept", n: message.n });
    } else peer?.hear(message);
  };
  self.on("message", (message, handle) => {
    if (messageKind(message) !== undefined) hear(message as MessageFromOld, handle);
  });
  self.once("disconnect", () => {
    turn.resolve(null);
    gone.resolve();
    // If the old daemon has crashed, the warden ends its backends, which takes a moment.
    void groupsGone(once, clock).then(end);
    peer?.over();
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
    /**
     * Reports that this daemon is in charge and listens. If `connections` is true, the old daemon passes its
     * idle connections.
     */
    taken(connections: boolean): void {
      void send({ say: "taken", connections });
      self.channel?.unref();
    },
    /** Sets the receiver of the sessions that clients begin with the old daemon while it still runs. */
    onSession: sessions.resolve,
    /** Sets the receiver of the old daemon's idle connections and event streams, by handle. To be called once. */
    onConnection: connections.resolve,
    /** Resolves when the old daemon's backends that must not run twice have ended. */
    ended: ended.promise,
    /** Process groups of those backends of the old daemon that must not run twice; empty once `ended` has resolved. */
    get once(): readonly number[] {
      return once;
    },
    /** The key for reading the request states that the old daemon gave to clients; null if none was received. */
    get states(): StateKey | null {
      return states;
    },
    /** Joins the calls in flight of both daemons. To be called once. */
    join(own: OwnCalls): PeerDaemon {
      peer = new PeerDaemon(own, (message, onSent) => {
        if (!self.connected) return false;
        void send(message).then(onSent);
        return true;
      });
      return peer;
    },
  };
}
