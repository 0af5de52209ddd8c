// One relayed share: its listener, its connections, and their moves between routes.
import type { Server } from "node:net";
import type { ConfigureRequest, MoveOutcome, RelayedMount, RelayedShare, RouteEndpoint } from "../relay.ts";
import { createAnswerStores } from "../smb/whole-frames.ts";
import { createAdmission } from "./admission.ts";
import { createConnectionLimit } from "./connection-limit.ts";
import { createCutOffSessions } from "./cut-off-sessions.ts";
import { createLosses } from "./losses.ts";
import { createMoves, type Move } from "./moves.ts";
import { type ConnectionHost, RelayedConnection, type Traffic } from "./relayed-connection.ts";
import { RouteState } from "./route-state.ts";
import type { ShareContext, ShareParts, ShareSettings } from "./share-settings.ts";
import { createStallWatch, unansweredSinceMs } from "./stall-watch.ts";
import { createStandbyRoute, otherRoute, type Standby } from "./standby-route.ts";

const CONNECTING_AT_ONCE = 64;

/**
 * How long a request may stay unanswered once its route is confirmed again, ms. TCP retransmits after ever longer pauses:
 * after half a minute without a route, the next attempt may be half a minute away, while a new connection works at once.
 */
const STUCK_AT_MOST_MS = 300;

/**
 * rclone may repeat an interrupted read on another retiring connection, and a second interruption would be an error for
 * the program. So after one retiring connection has ended, the others serve reads for this long, ms.
 */
const READ_AGAIN_WITHIN_MS = 1_000;

const NO_ENDPOINT: RouteEndpoint = { address: "", port: 0, localAddress: null };

export class ShareRelay implements AsyncDisposable {
  readonly settings: ShareSettings;
  readonly server: Server;
  /** Monotonic ms. */
  readonly openedAtMs: number;
  readonly #share: ShareContext;
  #encrypted = false;
  readonly #traffic: Traffic = { bytesUp: 0, bytesDown: 0, longestWaitMs: 0, stores: createAnswerStores() };
  readonly #route: RouteState;
  readonly #stall: ReturnType<typeof createStallWatch>;
  readonly #losses: ReturnType<typeof createLosses>;
  readonly #moves: ReturnType<typeof createMoves>;
  readonly #admission: ReturnType<typeof createAdmission>;
  readonly #limit: ReturnType<typeof createConnectionLimit>;
  readonly #standby: ReturnType<typeof createStandbyRoute>;
  readonly #unregister: () => void;
  #outageAtMove: number | null = null;
  #retiredAtMs = Number.NEGATIVE_INFINITY;
  /** The server that last answered over the unconfirmed route, and the value of `outage` at that time. */
  #lastServer: { readonly guid: string; readonly outage: number } | null = null;

  /** `server` must listen already, and have the options `pauseOnConnect` and `allowHalfOpen`. */
  constructor(server: Server, settings: ShareSettings, parts: ShareParts) {
    this.server = server;
    this.settings = settings;
    this.openedAtMs = parts.clock.monotonicMs();
    const share: ShareContext = {
      ...parts,
      settings,
      connections: new Set(),
      cutOff: createCutOffSessions(parts.clock),
      closed: false,
    };
    this.#share = share;
    this.#route = createShareRoute(share, ({ guid }) => {
      this.#lastServer = { guid, outage: this.#route.outage };
      share.events.notice("unconfirmed");
    });
    this.#standby = createStandbyRoute(share);
    this.#stall = createStallWatch(share);
    this.#losses = createLosses(share);
    this.#moves = createMoves(
      share,
      (sentinelId) => this.#standby.hasEnded(sentinelId),
      (isGentle) => this.#moved(isGentle),
      () => this.#joinWaiting(),
    );
    this.#unregister = parts.logins.onRefused(() => this.#loginRefused());
    const host = this.#host();
    this.#limit = createConnectionLimit(share, () => this.#joinWaiting());
    this.#admission = createAdmission(share, this.#route, (client) => {
      share.connections.add(new RelayedConnection(client, host));
      share.events.changed();
      this.#joinWaiting();
    });
    server.on("connection", this.#admission.onConnection);
    server.on("error", (error) =>
      // Most likely the limit of open files is reached; the kernel queues new connections until then.
      parts.logger.warn("a connection cannot be accepted", { share: settings.share, error: error.message }),
    );
  }

  state(): RelayedShare {
    const { share, kind, port, route, mount, server = null, epoch } = this.settings;
    const { bytesUp, bytesDown, longestWaitMs } = this.#traffic;
    const { phase, routeLostAtMs, outage } = this.#route;
    return {
      ...{ share, kind, port, route, phase, mount, server, bytesUp, bytesDown, routeLostAtMs, outage, epoch },
      witness: this.#standby.current?.id ?? null,
      outageAtMove: this.#outageAtMove,
      refusedLogon: this.#share.logins.refused,
      encrypted: this.#recordEncryption(),
      limit: this.#limit.usage,
      endpoint: endpointOf(this.settings) ?? NO_ENDPOINT,
      connections: this.#share.connections.size,
      connectionsInAll: this.#admission.connectionsInAll,
      longestWaitMs: Math.round(longestWaitMs),
      moves: this.#moves.moves,
      lastAnswerAtMs: this.#stall.lastAnswerAtMs,
      unansweredSinceMs: unansweredSinceMs(this.#share),
    };
  }

  #recordEncryption(): boolean {
    this.#encrypted ||= [...this.#share.connections].some(({ ledger }) => ledger.isOpaque);
    return this.#encrypted;
  }

  /**
   * Keeps the endpoint of the route in use. Only a move changes that endpoint, because a move proves the server
   * behind it.
   */
  configure({ endpoints, patienceMs, away = false }: ConfigureRequest): void {
    const { settings } = this;
    this.#standby.keep(endpoints[otherRoute(settings.route)]);
    settings.patienceMs = patienceMs;
    const wasOffNetwork = settings.away === true;
    settings.away = away;
    if (away === wasOffNetwork) this.#route.armPatience();
    else if (away) this.#route.leave();
    else this.#route.lost();
    this.#share.events.settingsChanged();
    this.#joinWaiting();
  }

  bind(mount: RelayedMount): void {
    this.settings.mount = mount;
    this.#share.events.settingsChanged();
  }

  /** The other route, while the relay may move there without a daemon; null: it may not. */
  get standby(): Standby | null {
    return this.#standby.current;
  }

  /** Monotonic ms since when the server behind the route in use is not proved; null: it is proved. */
  get unprovedAtMs(): number | null {
    return this.#route.unprovedSinceMs;
  }

  /**
   * True if a connection from before the loss has received bytes after the server began to answer again. This proves
   * that the server is still the same.
   */
  get isConfirmedByTraffic(): boolean {
    const { answeredAtMs } = this.#route;
    if (answeredAtMs === null) return false;
    return [...this.#share.connections].some(
      ({ stage, isRetiring, lastServerByteMs }) =>
        stage === "joined" && !isRetiring && (lastServerByteMs ?? answeredAtMs) > answeredAtMs,
    );
  }

  /** Call it when the relay becomes autonomous. From then on, requests with an older epoch are refused. */
  beginAutonomous(): void {
    this.settings.epoch += 1;
    this.#share.events.settingsChanged();
  }

  /** Remembers the server's GUID if none is known yet. */
  learn(guid: string): void {
    if (this.settings.guid !== null) return;
    this.settings.guid = guid;
    this.#share.events.settingsChanged();
  }

  pause(): void {
    this.#route.lost();
  }

  /** Confirms the server, unless the server was lost again since `outage`. With null, confirms in any case. */
  confirm(outage: number | null): void {
    const { phase: before, lossAtMs, outage: newest } = this.#route;
    if (outage !== null && outage !== newest) return;
    if (this.#lastServer?.outage === newest) this.settings.guid = this.#lastServer.guid;
    this.#route.confirm();
    if (before !== "carrying") {
      this.#limit.tryNow();
      this.#share.cutOff.endAt(endpointOf(this.settings) ?? NO_ENDPOINT);
      this.#stall.end();
      this.#share.events.notice("confirmed");
      if (this.settings.kind === "rclone") this.#losses.reportDetached();
      if (lossAtMs !== null) this.#endStuckLater(lossAtMs);
    }
    this.#joinWaiting();
  }

  /** Call when the server accepts the login again. */
  reopen(): void {
    this.#share.logins.reopen();
    this.#share.events.settingsChanged();
  }

  /** Call when rclone's pool is free of the dead connections that a `lost` notice announced. */
  usedUp(): void {
    this.#losses.usedUp();
  }

  move(wanted: Move): Promise<MoveOutcome> {
    return this.#moves.move(wanted);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#share.closed = true;
    this.#standby.drop();
    this.#route[Symbol.dispose]();
    this.#stall.stop();
    this.#limit[Symbol.dispose]();
    this.#unregister();
    const ended = new Promise<void>((resolve) => this.server.close(() => resolve()));
    await Promise.all([...this.#share.connections].map((connection) => connection.reset()));
    await ended;
  }

  /** Resets all connections that are not logged in. */
  #loginRefused(): void {
    const { settings, events, connections, logger, logins } = this.#share;
    logger.warn("the server refuses the login", { share: settings.share, reason: logins.refused?.text });
    for (const one of [...connections]) if (one.stage === "waiting" || one.waitsToLogIn) void one.reset();
    events.settingsChanged();
    events.notice("phase");
  }

  #moved(isGentle: boolean): void {
    const { settings, events, connections } = this.#share;
    this.#stall.end();
    this.#standby.moved();
    this.#limit.tryNow();
    this.#outageAtMove = this.#route.outage;
    this.#route.confirm();
    settings.confirmed = true;
    events.settingsChanged();
    events.notice("moved");
    if (isGentle) this.#losses.reportDetached();
    else if ([...connections].some((each) => each.isRetiring)) this.#losses.retireLater();
  }

  /**
   * Waits `STUCK_AT_MOST_MS`, then ends connections that still wait for an answer and have received nothing
   * since the loss, although the route is back.
   */
  #endStuckLater(lossAtMs: number): void {
    const { clock, connections } = this.#share;
    clock.setTimer(STUCK_AT_MOST_MS, () => {
      const stuck = [...connections].filter((each) => !each.isRetiring && each.isStuckSince(lossAtMs));
      if (stuck.length === 0) return;
      this.#share.logger.info("connections did not resume with their route", {
        share: this.settings.share,
        connections: stuck.length,
      });
      const isGentle = this.settings.kind === "rclone";
      for (const each of stuck) void (isGentle ? each.detach() : each.reset());
      if (isGentle) this.#losses.reportDetached();
    });
  }

  /**
   * Connects connections in the stage `waiting` while the route is usable: a limited number at a time, and no more than
   * the server accepts.
   */
  #joinWaiting(): void {
    const { settings, closed, connections } = this.#share;
    const target = endpointOf(settings);
    if (closed || this.#moves.moving || this.#route.phase !== "carrying" || target === undefined) return;
    let connecting = 0;
    for (const { stage } of connections) if (stage === "connecting") connecting += 1;
    for (const connection of connections) {
      if (connection.stage !== "waiting") continue;
      if (connecting >= CONNECTING_AT_ONCE || !this.#limit.mayJoin()) break;
      connecting += 1;
      connection.join(target);
    }
    this.#limit.releaseIdle();
  }

  #host(): ConnectionHost {
    const { settings, clock, logger, events, connections, logins } = this.#share;
    const { share } = settings;
    const traffic = this.#traffic;
    return {
      clock,
      traffic,
      detaches: settings.kind === "rclone",
      repeats: () => settings.mount?.repeats === true,
      logins,
      mayEndAtRead: () =>
        settings.mount?.repeats !== true || clock.monotonicMs() - this.#retiredAtMs >= READ_AGAIN_WITHIN_MS,
      retired: () => {
        this.#retiredAtMs = clock.monotonicMs();
      },
      mayJoin: () => this.#route.phase === "carrying",
      connected: () => this.#joinWaiting(),
      servesOthers: () => this.#limit.serves(),
      refused: () => this.#limit.refused(),
      connectFailed: (error) => {
        logger.debug("a connection to the server failed", { share, error });
        this.#route.lost();
      },
      serverClosed: (ended, error) => {
        logger.debug("the server ended a connection", { share, error });
        // The connection is on a route that is no longer in use, so its end says nothing about the route in
        // use.
        if (ended.isRetiring) this.#losses.reportDetached();
        else this.#route.markUnproved();
      },
      requested: () => this.#stall.requested(),
      answered: (from, nowMs, waitedMs) => {
        if (from.isRetiring) return;
        if (waitedMs > traffic.longestWaitMs) traffic.longestWaitMs = waitedMs;
        this.#stall.answered(nowMs);
        events.changed();
      },
      // Newer versions of rclone return the dead connection to their pool although they have noticed its
      // loss, so the loss is reported again.
      foundOut: () => void events.notice("lost"),
      closed: (gone) => {
        connections.delete(gone);
        if (unansweredSinceMs(this.#share) === null) this.#stall.end();
        events.changed();
        this.#joinWaiting();
      },
    };
  }
}

function endpointOf({ endpoints, route }: ShareSettings): RouteEndpoint | undefined {
  return endpoints[route];
}

function createShareRoute(
  { settings, clock, events, prove, connections, cutOff }: ShareContext,
  onUnconfirmed: (proof: { readonly guid: string }) => void,
): RouteState {
  const route: RouteState = new RouteState(
    {
      clock,
      patienceMs: () => settings.patienceMs,
      isOffNetwork: () => settings.away === true,
      // Starts with the time, so that no other relay process of this share uses the same numbers.
      firstOutage: clock.wallMs(),
      async prove(timeoutMs, onGone) {
        const target = endpointOf(settings);
        if (target !== undefined) return prove(target, timeoutMs, onGone);
        return { ok: false, reason: "refused", text: "the route has no endpoint" };
      },
      onPhase() {
        settings.confirmed = route.isConfirmed;
        events.settingsChanged();
        // A change to "carrying" is reported as `moved` or `confirmed`.
        if (route.phase !== "carrying") events.notice("phase");
      },
      onUnconfirmed,
      /** Resets connections that wait, or have received nothing since the loss. */
      onImpatient(lostAtMs) {
        for (const connection of [...connections]) {
          const heard = connection.stage === "joined" ? connection.lastServerByteMs : null;
          if (heard !== null && heard >= lostAtMs) continue;
          cutOff.keep(connection.serverEnd);
          void connection.reset();
        }
      },
    },
    settings.confirmed,
  );
  return route;
}
