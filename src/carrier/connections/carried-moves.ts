// Moves the connections of a carried share to another route, one move after the other.
import type { Clock } from "../../runtime/time/clock.ts";
import type { CarriedRoute, MoveOutcome, RouteEndpoint } from "../carrier.ts";
import type { CarriedConnection } from "./carried-connection.ts";
import type { RouteState } from "./route-state.ts";
import type { ShareEvents, ShareParts, ShareSettings } from "./share-settings.ts";

const MOVE_PROOF_MS = 1_000;

const QUIET_WAIT_MS = 2_000;

/** From then on everything is held back, whatever losing it costs. */
const HOLD_ALL_AFTER_MS = 1_400;

const QUIET_LOOK_MS = 2;

interface MovesParts {
  readonly settings: ShareSettings;
  readonly parts: ShareParts;
  readonly clock: Clock;
  readonly events: ShareEvents;
  readonly connections: Set<CarriedConnection>;
  readonly retiring: Map<CarriedConnection, CarriedRoute>;
  readonly held: Set<CarriedConnection>;
  readonly joining: Set<CarriedConnection>;
  readonly closed: () => boolean;
  readonly route: RouteState;
  readonly stall: { endStall(): void };
  readonly losses: { tellOrphans(): void; retireLater(): void };
  readonly joinHeld: () => void;
}

export function createMoves({
  settings,
  parts,
  clock,
  events,
  connections,
  retiring,
  held,
  joining,
  closed,
  route,
  stall,
  losses,
  joinHeld,
}: MovesParts) {
  let moves = 0;
  let moving = false;
  let moved: Promise<unknown> = Promise.resolve();

  /** Each connection goes in its own quiet instant; true: none was cut off in the middle of something. */
  const leaveQuietly = async (leaving: ReadonlySet<CarriedConnection>): Promise<boolean> => {
    const startedAtMs = clock.monotonicMs();
    const quietBefore = new Set<CarriedConnection>();
    let quiet = true;
    const leave = (connection: CarriedConnection, all: boolean): void =>
      connection.holdBack(all, () => void connection.reset());
    for (const connection of leaving) leave(connection, false);
    for (;;) {
      const nowMs = clock.monotonicMs();
      const remaining = [...leaving].filter(({ stage }) => stage !== "closed");
      if (remaining.length === 0) return quiet;
      if (nowMs - startedAtMs >= QUIET_WAIT_MS) return false;
      for (const connection of remaining) {
        if (!connection.isQuiet(nowMs)) {
          quietBefore.delete(connection);
          if (nowMs - startedAtMs >= HOLD_ALL_AFTER_MS) leave(connection, true);
        } else if (quietBefore.has(connection)) {
          if (connection.holdsBackMore) quiet = false;
          void connection.reset();
        } else {
          // Looked at twice, so that its client has read what came last.
          quietBefore.add(connection);
        }
      }
      await clock.sleep(QUIET_LOOK_MS);
    }
  };

  const moveNow = async (
    to: CarriedRoute,
    target: RouteEndpoint,
    planned: boolean,
    untilMs: number,
  ): Promise<MoveOutcome> => {
    const startedAtMs = clock.monotonicMs();
    if (startedAtMs + MOVE_PROOF_MS + (planned ? QUIET_WAIT_MS : 0) > untilMs)
      return { ok: false, reason: "silent", text: "another move took too long" };
    const proof = await parts.prove(target, MOVE_PROOF_MS);
    if (closed()) return { ok: false, reason: "unknown_share", text: "the share was closed meanwhile" };
    if (!proof.ok) return { ok: false, reason: proof.reason, text: proof.text };
    moving = true;
    try {
      const old = new Set<CarriedConnection>();
      for (const connection of connections) {
        if (connection.stage === "connecting") {
          connection.unjoin();
          joining.delete(connection);
          held.add(connection);
        } else if (connection.stage === "joined" || connection.stage === "orphaned") old.add(connection);
      }
      for (const [connection, from] of retiring) {
        // One that waits where the mount goes back to is in use again; the others wait on, as long as nothing hurries.
        if (from === to) {
          connection.unretire();
          retiring.delete(connection);
          old.delete(connection);
        } else if (planned) old.delete(connection);
      }
      const inAll = old.size;
      if (planned && settings.kind === "rclone") {
        for (const connection of old) {
          if (connection.ledger.isOpaque || connection.stage === "orphaned") continue;
          connection.retire();
          retiring.set(connection, settings.route);
          old.delete(connection);
        }
      }
      const quiet = planned && (await leaveQuietly(old));
      // All of the servers' sides first: nothing of any of them may come after the new route's first byte.
      const isGentle = !planned && settings.kind === "rclone";
      await Promise.all([...old].map((connection) => (isGentle ? connection.orphan() : connection.reset())));
      if (closed()) return { ok: false, reason: "unknown_share", text: "the share was closed meanwhile" };
      settings.route = to;
      settings.endpoints = { ...settings.endpoints, [to]: target };
      settings.guid = proof.guid;
      moves += 1;
      stall.endStall();
      route.moved();
      settings.confirmed = true;
      events.settingsChanged();
      events.notice("moved");
      if (isGentle) losses.tellOrphans();
      else if (retiring.size > 0) losses.retireLater();
      return { ok: true, quiet, connections: inAll, tookMs: clock.monotonicMs() - startedAtMs };
    } finally {
      moving = false;
      joinHeld();
    }
  };

  const move = (
    to: CarriedRoute,
    target: RouteEndpoint,
    planned: boolean,
    untilMs: number,
  ): Promise<MoveOutcome> => {
    const next = moved.then(() => moveNow(to, target, planned, untilMs));
    moved = next.catch(() => {});
    return next;
  };

  return {
    get moving() {
      return moving;
    },
    get moves() {
      return moves;
    },
    move,
  };
}
