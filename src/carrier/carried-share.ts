// One carried share: its listener, the connections that came to it, and their moves between routes.
import type { Server, Socket } from "node:net";
import { type Clock, settledWithin, type Timer } from "../runtime/clock.ts";
import { errorText } from "../runtime/errors.ts";
import type { Logger } from "../runtime/log.ts";
import { type CarriedConnection, createConnection, type Traffic } from "./carried-connection.ts";
import type {
  CarriedKind,
  CarriedMount,
  CarriedRoute,
  CarriedShare,
  CarrierNotice,
  MoveOutcome,
  OpenRequest,
  RouteEndpoint,
} from "./carrier.ts";
import { createRouteState } from "./route-state.ts";
import type { ProveServer, ServerProof } from "./server-proof.ts";
import type { SocketOwners } from "./socket-owner.ts";

/** Far above what SMB clients open; each may cost 130 KB while it is busy. */
const CONNECTIONS_AT_MOST = 2_000;
const CONNECTING_AT_ONCE = 64;
const STALLED_AFTER_MS = 300;
const MOVE_PROOF_MS = 1_000;
const QUIET_WAIT_MS = 2_000;
/** From then on everything is held back, whatever losing it costs. */
const HOLD_ALL_AFTER_MS = 1_400;
const QUIET_LOOK_MS = 2;

/**
 * rclone takes what it has kept for later without a look, the oldest first, and what uses a dead one fails. So the daemon
 * uses up those that nobody uses, which it is given this long for; only then do programs hear of the loss.
 */
const USE_UP_AT_MOST_MS = 700;

const NO_ENDPOINT: RouteEndpoint = { address: "", port: 0, localAddress: null };

export interface ShareSettings {
  readonly share: string;
  readonly kind: CarriedKind;
  readonly port: number;
  route: CarriedRoute;
  endpoints: Partial<Record<CarriedRoute, RouteEndpoint>>;
  patienceMs: number;
  mount: CarriedMount | null;
  /** The server's, in hex, once it was seen. */
  guid: string | null;
  confirmed: boolean;
}

interface ShareEvents {
  /** Whether anybody hears it. */
  notice(what: CarrierNotice["what"]): boolean;
  /** A counter or a number of connections is another; nothing that hurries. */
  counted(): void;
  /** What must survive the process is another. */
  settingsChanged(): void;
  /** The server behind the route in use answers again, and is not confirmed. */
  unconfirmed(guid: string): void;
}

interface ShareParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly owners: SocketOwners;
  readonly prove: ProveServer;
  /** Whose clients may connect. */
  readonly uid: number;
  readonly events: ShareEvents;
}

export interface ShareCarrier extends AsyncDisposable {
  readonly settings: ShareSettings;
  readonly server: Server;
  state(): CarriedShare;
  configure(change: Pick<OpenRequest, "endpoints" | "patienceMs">): void;
  bind(mount: CarriedMount): void;
  /** The server's GUID, where none is known yet. */
  learn(guid: string): void;
  hold(): void;
  confirm(): void;
  /** Of what was `lost`, rclone keeps nothing any more. */
  usedUp(): void;
  /** `untilMs`: when nobody waits for it any more, monotonic; nothing is changed after that. */
  move(to: CarriedRoute, endpoint: RouteEndpoint, planned: boolean, untilMs: number): Promise<MoveOutcome>;
}

/** `server` listens, with `pauseOnConnect` and `allowHalfOpen`. */
export function createShareCarrier(server: Server, settings: ShareSettings, parts: ShareParts): ShareCarrier {
  const { clock, logger, events } = parts;
  const traffic: Traffic = { bytesUp: 0, bytesDown: 0, longestWaitMs: 0, heldBytes: 0 };
  const connections = new Set<CarriedConnection>();
  /** What stays on a route that is no longer in use until it can end unnoticed. */
  const retiring = new Map<CarriedConnection, CarriedRoute>();
  /** In the order in which they came. */
  const held = new Set<CarriedConnection>();
  const joining = new Set<CarriedConnection>();
  let admitting = 0;
  let connectionsInAll = 0;
  let moves = 0;
  let moving = false;
  let moved: Promise<unknown> = Promise.resolve();
  let lastAnswerAtMs: number | null = null;
  let stallTimer: Timer | null = null;
  let isStalled = false;
  let losing: Promise<void> = Promise.resolve();
  let usedUp = (): void => {};
  let closed = false;

  const endpoint = (): RouteEndpoint | undefined => settings.endpoints[settings.route];
  const proveRoute = (timeoutMs: number): Promise<ServerProof> => {
    const target = endpoint();
    if (target !== undefined) return parts.prove(target, timeoutMs);
    return Promise.resolve({ ok: false, reason: "refused", text: "the route has no endpoint" });
  };
  const route = createRouteState(
    {
      clock,
      patienceMs: () => settings.patienceMs,
      // No other carrier of this share has told the same number.
      firstOutage: clock.wallMs(),
      prove: proveRoute,
      onPhase() {
        settings.confirmed = route.isConfirmed;
        events.settingsChanged();
        // Its own notice says more.
        if (route.phase !== "carrying") events.notice("phase");
      },
      onUnconfirmed({ guid }) {
        events.notice("unconfirmed");
        events.unconfirmed(guid);
      },
      onImpatient: loseConnections,
    },
    settings.confirmed,
  );

  const unansweredSinceMs = (): number | null => {
    let oldest: number | null = null;
    for (const { ledger, stage, retiring: isRetiring } of connections) {
      const isAsked = stage === "joined" && !isRetiring && ledger.outstanding > 0;
      const sinceMs = isAsked ? ledger.oldestMs : null;
      if (sinceMs !== null && (oldest === null || sinceMs < oldest)) oldest = sinceMs;
    }
    return oldest;
  };
  const watchForStall = (delayMs: number): void => {
    if (stallTimer !== null || closed) return;
    stallTimer = clock.setTimer(delayMs, () => {
      stallTimer = null;
      const sinceMs = unansweredSinceMs();
      if (sinceMs === null) return;
      // The server lives as long as it answers anybody.
      const dueMs = Math.max(sinceMs, lastAnswerAtMs ?? sinceMs) + STALLED_AFTER_MS;
      const leftMs = dueMs - clock.monotonicMs();
      if (leftMs > 0) {
        watchForStall(leftMs);
        return;
      }
      if (isStalled) return;
      isStalled = true;
      events.notice("stalled");
    });
  };

  /** At the end of the patience: what is held, and what has heard nothing since the route was lost. */
  function loseConnections(lostAtMs: number): void {
    for (const connection of [...connections]) {
      const heard = connection.stage === "joined" ? connection.lastServerByteMs : null;
      if (heard === null || heard < lostAtMs) void connection.reset();
    }
  }

  const untilUsedUp = async (): Promise<void> => {
    const told = Promise.withResolvers<void>();
    usedUp = told.resolve;
    if (events.notice("lost")) await settledWithin(clock, USE_UP_AT_MOST_MS, told.promise);
  };
  /** Lets rclone know of the connections that have lost their server. */
  const loseOrphans = async (): Promise<void> => {
    const orphans = [...connections].filter(({ stage }) => stage === "orphaned");
    // Of what is encrypted, the daemon's question cannot be told from a program's.
    for (const connection of orphans) if (connection.ledger.isOpaque) void connection.reset();
    await untilUsedUp();
    for (const connection of orphans) connection.release();
  };
  /** What rclone keeps of them ends at the daemon's questions; only then may its readers look for another. */
  const retireAll = async (): Promise<void> => {
    // Of what a later move retires meanwhile, rclone still keeps some.
    const known = [...retiring.keys()];
    await untilUsedUp();
    for (const connection of known) if (retiring.has(connection)) connection.retireAtReads();
  };
  const tellOrphans = (): void => {
    losing = losing.then(loseOrphans);
  };

  /** Lets what is held go to the route, as far as that is open. */
  const joinHeld = (): void => {
    const target = endpoint();
    if (closed || moving || route.phase !== "carrying" || target === undefined) return;
    for (const connection of held) {
      if (joining.size >= CONNECTING_AT_ONCE) return;
      held.delete(connection);
      joining.add(connection);
      connection.join(target);
    }
  };
  const confirmRoute = (): void => {
    const before = route.phase;
    route.confirm();
    if (before !== "carrying") {
      isStalled = false;
      events.notice("confirmed");
      if (settings.kind === "rclone") tellOrphans();
    }
    joinHeld();
  };

  const admit = (client: Socket): void => {
    const connection = createConnection(client, clock, traffic, settings.kind === "rclone", {
      connected(joined) {
        joining.delete(joined);
        joinHeld();
      },
      connectFailed(failed, text) {
        joining.delete(failed);
        held.add(failed);
        logger.debug("a connection to the server failed", { share: settings.share, error: text });
        if (!moving) route.lost();
      },
      serverClosed(ended, text) {
        logger.debug("the server ended a connection", { share: settings.share, error: text });
        // The route in use is another by now.
        if (retiring.has(ended)) tellOrphans();
        else if (!moving) route.doubted();
      },
      asked: () => watchForStall(STALLED_AFTER_MS),
      answered(from, nowMs, waitedMs) {
        if (from.retiring) return;
        lastAnswerAtMs = nowMs;
        if (waitedMs > traffic.longestWaitMs) traffic.longestWaitMs = waitedMs;
        if (isStalled) {
          isStalled = false;
          events.notice("answered");
          watchForStall(STALLED_AFTER_MS);
        }
        events.counted();
      },
      // Newer versions of rclone keep it for later all the same.
      foundOut: () => void events.notice("lost"),
      closed(gone) {
        connections.delete(gone);
        retiring.delete(gone);
        held.delete(gone);
        joining.delete(gone);
        if (isStalled && unansweredSinceMs() === null) isStalled = false;
        events.counted();
        joinHeld();
      },
    });
    connections.add(connection);
    held.add(connection);
    events.counted();
    joinHeld();
  };
  const isAllowed = async (client: Socket): Promise<boolean> => {
    const { remoteAddress, remotePort } = client;
    if (remoteAddress === undefined || remotePort === undefined) return false;
    try {
      const owner = await parts.owners.ownerOf(remoteAddress, remotePort, settings.port);
      if (owner === parts.uid || (owner === 0 && settings.kind === "cifs")) return true;
      logger.warn("a connection was turned away", { share: settings.share, uid: owner });
    } catch (error) {
      logger.warn("the owner of a connection cannot be told", {
        share: settings.share,
        error: errorText(error),
      });
    }
    return false;
  };
  const onConnection = (client: Socket): void => {
    const drop = (): void => {
      client.resetAndDestroy();
    };
    client.on("error", () => {});
    connectionsInAll += 1;
    if (closed || route.phase === "refusing" || connections.size + admitting >= CONNECTIONS_AT_MOST) {
      drop();
      return;
    }
    admitting += 1;
    void isAllowed(client).then((allowed) => {
      admitting -= 1;
      if (client.destroyed) return;
      if (!allowed || closed || route.phase === "refusing") drop();
      else admit(client);
    });
  };
  const onListenError = (error: Error): void => {
    // Too many open files, most likely: the kernel holds what comes until there is room.
    logger.warn("a connection cannot be taken", { share: settings.share, error: error.message });
  };
  server.on("connection", onConnection);
  server.on("error", onListenError);

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
    if (closed) return { ok: false, reason: "unknown_share", text: "the share was closed meanwhile" };
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
      if (closed) return { ok: false, reason: "unknown_share", text: "the share was closed meanwhile" };
      settings.route = to;
      settings.endpoints = { ...settings.endpoints, [to]: target };
      settings.guid = proof.guid;
      moves += 1;
      isStalled = false;
      route.moved();
      settings.confirmed = true;
      events.settingsChanged();
      events.notice("moved");
      if (isGentle) tellOrphans();
      else if (retiring.size > 0) losing = losing.then(retireAll);
      return { ok: true, quiet, connections: inAll, tookMs: clock.monotonicMs() - startedAtMs };
    } finally {
      moving = false;
      joinHeld();
    }
  };

  return {
    settings,
    server,
    state: () => ({
      share: settings.share,
      kind: settings.kind,
      port: settings.port,
      route: settings.route,
      endpoint: endpoint() ?? NO_ENDPOINT,
      phase: route.phase,
      mount: settings.mount,
      connections: connections.size,
      connectionsInAll,
      bytesUp: traffic.bytesUp,
      bytesDown: traffic.bytesDown,
      longestWaitMs: Math.round(traffic.longestWaitMs),
      moves,
      lastAnswerAtMs,
      unansweredSinceMs: unansweredSinceMs(),
      routeLostAtMs: route.routeLostAtMs,
      outage: route.outage,
    }),
    configure({ endpoints, patienceMs }) {
      // That of the route in use changes by a move alone, which proves it; and one that is silent now is not forgotten.
      const inUse = endpoint();
      settings.endpoints = {
        ...settings.endpoints,
        ...endpoints,
        ...(inUse === undefined ? {} : { [settings.route]: inUse }),
      };
      settings.patienceMs = patienceMs;
      route.patienceChanged();
      events.settingsChanged();
      joinHeld();
    },
    bind(mount) {
      settings.mount = mount;
      events.settingsChanged();
    },
    learn(guid) {
      if (settings.guid !== null) return;
      settings.guid = guid;
      events.settingsChanged();
    },
    hold: () => route.lost(),
    confirm: confirmRoute,
    usedUp: () => usedUp(),
    move(to, target, planned, untilMs) {
      const next = moved.then(() => moveNow(to, target, planned, untilMs));
      moved = next.catch(() => {});
      return next;
    },
    async [Symbol.asyncDispose]() {
      closed = true;
      route[Symbol.dispose]();
      stallTimer?.[Symbol.dispose]();
      stallTimer = null;
      const ended = new Promise<void>((resolve) => server.close(() => resolve()));
      await Promise.all([...connections].map((connection) => connection.reset()));
      await ended;
    },
  };
}
