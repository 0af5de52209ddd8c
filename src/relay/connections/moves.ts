// Moves the connections of a relayed share to another route, one move after the other.
import { createSemaphore } from "../../network/probe/single-flight.ts";
import { type Clock, settlesWithin } from "../../runtime/time/clock.ts";
import type { MoveOutcome, RelayRoute, RouteEndpoint } from "../relay.ts";
import type { NegotiateResult } from "../smb/negotiate-proof.ts";
import type { RelayedConnection } from "./relayed-connection.ts";
import type { ShareContext } from "./share-settings.ts";

const MOVE_PROOF_MS = 1_000;

/**
 * After this time, ms, a second probe begins. If the link has gone down, a new probe notices that at once, while a
 * running probe does not.
 */
const RETRY_MS = 200;
const QUIET_WAIT_MS = 2_000;
/**
 * A planned move holds back only reads and writes at first; after this time, ms, it holds back every frame.
 */
const BUFFER_ALL_AFTER_MS = 1_400;
const QUIET_CHECK_MS = 2;

const CLOSED_MEANWHILE: MoveOutcome = {
  ok: false,
  reason: "unknown_share",
  text: "the share has since been closed",
};

export interface Move {
  readonly to: RelayRoute;
  readonly endpoint: RouteEndpoint;
  readonly planned: boolean;
  /**
   * The id of the open connection that proved the server behind `to` when the move was decided; null or
   * absent: there was none.
   */
  readonly witness?: number | null;
  /** The deadline of the request, monotonic ms. A move that may not be over by then is refused. */
  readonly untilMs: number;
}

/** `hasEnded`: whether the connection with the id `sentinelId` has ended. `onEnd` is also called after a failed move. */
export function createMoves(
  share: ShareContext,
  hasEnded: (sentinelId: number) => Promise<boolean>,
  onMoved: (isGentle: boolean) => void,
  onEnd: () => void,
) {
  const { settings, clock } = share;
  let moves = 0;
  let moving = false;
  const turns = createSemaphore(1);

  const moveNow = async ({ to, endpoint, planned, untilMs, witness = null }: Move): Promise<MoveOutcome> => {
    const startedAtMs = clock.monotonicMs();
    if (startedAtMs + MOVE_PROOF_MS + (planned ? QUIET_WAIT_MS : 0) > untilMs)
      return { ok: false, reason: "silent", text: "another move took too long" };
    const [proof, isUncertain] = await Promise.all([
      proveSoon(share, endpoint),
      witness !== null && hasEnded(witness),
    ]);
    if (share.closed) return CLOSED_MEANWHILE;
    if (!proof.ok) return { ok: false, reason: proof.reason, text: proof.text };
    if (isUncertain)
      return { ok: false, reason: "refused", text: "the server there must be proved again: it was away" };
    if (settings.guid !== null && proof.guid !== settings.guid)
      return {
        ok: false,
        reason: "refused",
        text: `another server answers there: its ServerGuid is ${proof.guid}, not ${settings.guid}`,
      };
    moving = true;
    try {
      const old = connectionsToMove(share, to, planned);
      const connections = old.size;
      if (planned && settings.kind === "rclone") retireReadable(settings.route, old);
      const quiet = planned && (await leaveQuietly(clock, old));
      // All connections over the old route end before the route changes: none of their bytes may reach the
      // server after the first byte over the new route.
      if (!planned) for (const { serverEnd } of old) share.cutOff.keep(serverEnd);
      const isGentle = !planned && settings.kind === "rclone";
      await Promise.all([...old].map((connection) => (isGentle ? connection.detach() : connection.reset())));
      if (share.closed) return CLOSED_MEANWHILE;
      settings.route = to;
      settings.endpoints = { [to]: endpoint };
      settings.guid = proof.guid;
      moves += 1;
      onMoved(isGentle);
      return { ok: true, quiet, connections, tookMs: clock.monotonicMs() - startedAtMs };
    } finally {
      moving = false;
      onEnd();
    }
  };

  return {
    get moving() {
      return moving;
    },
    get moves() {
      return moves;
    },
    move: (wanted: Move): Promise<MoveOutcome> => turns.use(() => moveNow(wanted)),
  };
}

async function proveSoon({ prove, clock }: ShareContext, endpoint: RouteEndpoint): Promise<NegotiateResult> {
  const first = prove(endpoint, MOVE_PROOF_MS);
  if (await settlesWithin(clock, RETRY_MS, first)) return first;
  const second = prove(endpoint, MOVE_PROOF_MS - RETRY_MS);
  return Promise.race([unlessSilent(first, second), unlessSilent(second, first)]);
}

async function unlessSilent(
  one: Promise<NegotiateResult>,
  other: Promise<NegotiateResult>,
): Promise<NegotiateResult> {
  const proof = await one;
  return proof.ok || proof.reason === "refused" ? proof : other;
}

/**
 * Returns the connections that the move has to end. Cancels connects under way. Connections that were retiring from
 * the route `to` stay in use.
 */
function connectionsToMove({ connections }: ShareContext, to: RelayRoute, planned: boolean) {
  const old = new Set<RelayedConnection>();
  for (const connection of connections) {
    const { stage, retiringFrom, isRetiring } = connection;
    if (stage === "connecting") connection.unjoin();
    else if (retiringFrom === to) connection.unretire();
    else if (isRetiring && planned) continue;
    else if (stage === "joined" || stage === "detached") old.add(connection);
  }
  return old;
}

/** Retires the connections whose frames can be read, and removes them from `old`. */
function retireReadable(from: RelayRoute, old: Set<RelayedConnection>): void {
  for (const connection of old) {
    if (connection.ledger.isOpaque || connection.stage === "detached" || connection.isLoggingIn) continue;
    connection.retire(from);
    old.delete(connection);
  }
}

/**
 * Resets each connection at a moment when it is quiet. Resolves with false if a connection was never quiet, or if a
 * client may notice its reset.
 */
async function leaveQuietly(clock: Clock, closing: ReadonlySet<RelayedConnection>): Promise<boolean> {
  const startedAtMs = clock.monotonicMs();
  const quietBefore = new Set<RelayedConnection>();
  let quiet = true;
  const leave = (connection: RelayedConnection, all: boolean): void =>
    connection.startBuffering(all, () => void connection.reset());
  for (const connection of closing) leave(connection, false);
  for (;;) {
    const nowMs = clock.monotonicMs();
    const remaining = [...closing].filter(({ stage }) => stage !== "closed");
    if (remaining.length === 0) return quiet;
    if (nowMs - startedAtMs >= QUIET_WAIT_MS) return false;
    for (const connection of remaining) {
      if (!connection.isQuiet(nowMs)) {
        quietBefore.delete(connection);
        if (nowMs - startedAtMs >= BUFFER_ALL_AFTER_MS) leave(connection, true);
      } else if (quietBefore.has(connection)) {
        if (connection.buffersMore) quiet = false;
        void connection.reset();
      } else {
        // A connection ends only if two checks in a row find it quiet. By then the client has read the last answer.
        quietBefore.add(connection);
      }
    }
    await clock.sleep(QUIET_CHECK_MS);
  }
}
