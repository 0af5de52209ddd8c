// One carried share: its listener, the connections that came to it, and their moves between routes.
import type { Server, Socket } from "node:net";
import { errorText } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { type Clock, settledWithin, type Timer } from "../../runtime/time/clock.ts";
import type {
  CarriedMount,
  CarriedRoute,
  CarriedShare,
  MoveOutcome,
  OpenRequest,
  RouteEndpoint,
} from "../carrier.ts";
import type { ServerProof } from "../smb/server-proof.ts";
import { createAnswerStores } from "../smb/whole-answers.ts";
import { type CarriedConnection, createConnection, type Traffic } from "./carried-connection.ts";
import { createMoves } from "./carried-moves.ts";
import { createRouteState, type RouteState } from "./route-state.ts";
import type { ShareEvents, ShareParts, ShareSettings } from "./share-settings.ts";

/** Far above what SMB clients open; each may cost 130 KB while it is busy. */
const CONNECTIONS_AT_MOST = 2_000;
const CONNECTING_AT_ONCE = 64;
const STALLED_AFTER_MS = 300;

/**
 * rclone takes what it has kept for later without a look, the oldest first, and what uses a dead one fails. So the daemon
 * uses up those that nobody uses, which it is given this long for; only then do programs hear of the loss.
 */
const USE_UP_AT_MOST_MS = 700;

const NO_ENDPOINT: RouteEndpoint = { address: "", port: 0, localAddress: null };

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
  const traffic: Traffic = { bytesUp: 0, bytesDown: 0, longestWaitMs: 0, stores: createAnswerStores() };
  const connections = new Set<CarriedConnection>();
  /** What stays on a route that is no longer in use until it can end unnoticed. */
  const retiring = new Map<CarriedConnection, CarriedRoute>();
  /** In the order in which they came. */
  const held = new Set<CarriedConnection>();
  const joining = new Set<CarriedConnection>();
  let closed = false;

  const endpoint = (): RouteEndpoint | undefined => settings.endpoints[settings.route];
  const route = createShareRoute({ settings, parts, clock, events, endpoint, loseConnections });
  const stall = createStallWatch({ clock, events, connections, closed: () => closed });

  /** At the end of the patience: what is held, and what has heard nothing since the route was lost. */
  function loseConnections(lostAtMs: number): void {
    for (const connection of [...connections]) {
      const heard = connection.stage === "joined" ? connection.lastServerByteMs : null;
      if (heard === null || heard < lostAtMs) void connection.reset();
    }
  }
  const losses = createLosses({ clock, events, connections, retiring });

  /** Lets what is held go to the route, as far as that is open. */
  const joinHeld = (): void => {
    const target = endpoint();
    if (closed || moves.moving || route.phase !== "carrying" || target === undefined) return;
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
      stall.endStall();
      events.notice("confirmed");
      if (settings.kind === "rclone") losses.tellOrphans();
    }
    joinHeld();
  };
  const admit = createAdmit({
    settings,
    clock,
    logger,
    events,
    traffic,
    connections,
    retiring,
    held,
    joining,
    route,
    stall,
    losses,
    joinHeld,
    moving: () => moves.moving,
  });
  const admission = createAdmission({
    settings,
    parts,
    logger,
    connections,
    closed: () => closed,
    route,
    admit,
  });
  server.on("connection", admission.onConnection);
  server.on("error", admission.onListenError);
  const moves = createMoves({
    settings,
    parts,
    clock,
    events,
    connections,
    retiring,
    held,
    joining,
    closed: () => closed,
    route,
    stall,
    losses,
    joinHeld,
  });

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
      connectionsInAll: admission.connectionsInAll,
      bytesUp: traffic.bytesUp,
      bytesDown: traffic.bytesDown,
      longestWaitMs: Math.round(traffic.longestWaitMs),
      moves: moves.moves,
      lastAnswerAtMs: stall.lastAnswerAtMs,
      unansweredSinceMs: stall.unansweredSinceMs(),
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
    usedUp: () => losses.usedUp(),
    move: moves.move,
    async [Symbol.asyncDispose]() {
      closed = true;
      route[Symbol.dispose]();
      stall.stopStallWatch();
      const ended = new Promise<void>((resolve) => server.close(() => resolve()));
      await Promise.all([...connections].map((connection) => connection.reset()));
      await ended;
    },
  };
}

interface ShareRouteParts {
  readonly settings: ShareSettings;
  readonly parts: ShareParts;
  readonly clock: Clock;
  readonly events: ShareEvents;
  readonly endpoint: () => RouteEndpoint | undefined;
  readonly loseConnections: (lostAtMs: number) => void;
}

/** Whether the route that is in use carries, and what follows when it does not. */
function createShareRoute({ settings, parts, clock, events, endpoint, loseConnections }: ShareRouteParts) {
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

  return route;
}

interface AdmitParts {
  readonly settings: ShareSettings;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events: ShareEvents;
  readonly traffic: Traffic;
  readonly connections: Set<CarriedConnection>;
  readonly retiring: Map<CarriedConnection, CarriedRoute>;
  readonly held: Set<CarriedConnection>;
  readonly joining: Set<CarriedConnection>;
  readonly route: RouteState;
  readonly stall: ReturnType<typeof createStallWatch>;
  readonly losses: ReturnType<typeof createLosses>;
  readonly joinHeld: () => void;
  readonly moving: () => boolean;
}

/** Takes a connection in: it is held until the route takes it, and everything it tells is passed on. */
function createAdmit({
  settings,
  clock,
  logger,
  events,
  traffic,
  connections,
  retiring,
  held,
  joining,
  route,
  stall,
  losses,
  joinHeld,
  moving,
}: AdmitParts) {
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
        if (!moving()) route.lost();
      },
      serverClosed(ended, text) {
        logger.debug("the server ended a connection", { share: settings.share, error: text });
        // The route in use is another by now.
        if (retiring.has(ended)) losses.tellOrphans();
        else if (!moving()) route.doubted();
      },
      asked: () => stall.watchForStall(STALLED_AFTER_MS),
      answered(from, nowMs, waitedMs) {
        if (from.retiring) return;
        if (waitedMs > traffic.longestWaitMs) traffic.longestWaitMs = waitedMs;
        stall.heardAnswer(nowMs);
        events.counted();
      },
      // Newer versions of rclone keep it for later all the same.
      foundOut: () => void events.notice("lost"),
      closed(gone) {
        connections.delete(gone);
        retiring.delete(gone);
        held.delete(gone);
        joining.delete(gone);
        if (stall.unansweredSinceMs() === null) stall.endStall();
        events.counted();
        joinHeld();
      },
    });
    connections.add(connection);
    held.add(connection);
    events.counted();
    joinHeld();
  };

  return admit;
}

interface AdmissionParts {
  readonly settings: ShareSettings;
  readonly parts: ShareParts;
  readonly logger: Logger;
  readonly connections: Set<CarriedConnection>;
  readonly closed: () => boolean;
  readonly route: RouteState;
  readonly admit: (client: Socket) => void;
}

/** Lets in who may use the share. */
function createAdmission({ settings, parts, logger, connections, closed, route, admit }: AdmissionParts) {
  let admitting = 0;
  let connectionsInAll = 0;
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
    if (closed() || route.phase === "refusing" || connections.size + admitting >= CONNECTIONS_AT_MOST) {
      drop();
      return;
    }
    admitting += 1;
    void isAllowed(client).then((allowed) => {
      admitting -= 1;
      if (client.destroyed) return;
      if (!allowed || closed() || route.phase === "refusing") drop();
      else admit(client);
    });
  };
  const onListenError = (error: Error): void => {
    // Too many open files, most likely: the kernel holds what comes until there is room.
    logger.warn("a connection cannot be taken", { share: settings.share, error: error.message });
  };

  return {
    onConnection,
    onListenError,
    get connectionsInAll() {
      return connectionsInAll;
    },
  };
}

interface LossesParts {
  readonly clock: Clock;
  readonly events: ShareEvents;
  readonly connections: Set<CarriedConnection>;
  readonly retiring: Map<CarriedConnection, CarriedRoute>;
}

/** Lets rclone find out about connections that have lost their server, once it keeps nothing of them. */
function createLosses({ clock, events, connections, retiring }: LossesParts) {
  let losing: Promise<void> = Promise.resolve();
  let usedUp = (): void => {};

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
  const retireLater = (): void => {
    losing = losing.then(retireAll);
  };

  return {
    tellOrphans,
    retireLater,
    get usedUp() {
      return usedUp;
    },
  };
}

interface StallWatchParts {
  readonly clock: Clock;
  readonly events: ShareEvents;
  readonly connections: Set<CarriedConnection>;
  readonly closed: () => boolean;
}

/** Notices that the server answers nobody any more, and when it does again. */
function createStallWatch({ clock, events, connections, closed }: StallWatchParts) {
  let lastAnswerAtMs: number | null = null;
  let stallTimer: Timer | null = null;
  let isStalled = false;

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
    if (stallTimer !== null || closed()) return;
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

  const heardAnswer = (nowMs: number): void => {
    lastAnswerAtMs = nowMs;
    if (!isStalled) return;
    isStalled = false;
    events.notice("answered");
    watchForStall(STALLED_AFTER_MS);
  };
  const endStall = (): void => {
    isStalled = false;
  };
  const stopStallWatch = (): void => {
    stallTimer?.[Symbol.dispose]();
    stallTimer = null;
  };

  return {
    endStall,
    watchForStall,
    heardAnswer,
    unansweredSinceMs,
    get lastAnswerAtMs() {
      return lastAnswerAtMs;
    },
    stopStallWatch,
  };
}
