// The daemon's view of the relay: connects when a relay runs, starts one to open a share, and follows its state.
import { whenAborted } from "../../runtime/abort.ts";
import { type Bus, createBus } from "../../runtime/bus.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { isOwnSocket } from "../../runtime/process/private-socket.ts";
import { objectOf } from "../../runtime/text/json-object.ts";
import { backoffMs } from "../../runtime/time/backoff.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { parseJournalEntry, parseMoveOutcome, parseNotice, parseShare } from "../control/control-messages.ts";
import { findControlSocket } from "../control/control-socket.ts";
import type { OpenRequest, RelayControl, RelayedShare, RelayNotice } from "../relay.ts";
import { type ControlConnection, connectControl, unreachable } from "./control-connection.ts";
import { removeOldPrograms, startRelay } from "./relay-program.ts";

const REQUEST_MS = 5_000;
const MOVE_MS = 4_000;
/** Pauses between attempts to connect while the relay has shares; `IDLE_PAUSE_MS`: while it has none. */
const PAUSE_MS = { first: 100, most: 300 };
const IDLE_PAUSE_MS = { first: 100, most: 5_000 };
/** A killed relay is back within this time, with all its shares. */
const BACK_WITHIN_MS = 3_000;
const START_WITHIN_MS = 15_000;
const START_POLL_MS = 20;
const START_AGAIN_MS = 1_000;

interface ConnectOptions {
  readonly home: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** False: of a program that only looks; the relay does not count on it. Default: true. */
  readonly isInCharge?: boolean;
  /** The bundled program; by default this package's. */
  readonly programPath?: string;
}

type Members = Readonly<Record<string, unknown>>;

/** Connects to a relay that runs now or later, and starts one only in `open`. Disposing leaves the relay running. */
export function connectRelay(options: ConnectOptions): RelayControl {
  const { home, clock, logger } = options;
  const known = new KnownShares(clock, logger);
  const connection = new ReconnectingControl(options, known);

  /** Sends a request to the running relay; resolves with null if none runs. */
  const callIfRunning = async (
    operation: string,
    members: Members,
    signal: AbortSignal,
  ): Promise<unknown> => {
    const there = await connection.connected();
    return there === null ? null : there.call(operation, members, REQUEST_MS, signal);
  };
  const call = async (
    operation: string,
    members: Members,
    signal: AbortSignal,
    deadlineMs = REQUEST_MS,
  ): Promise<unknown> => {
    signal.throwIfAborted();
    const there = await connection.connected();
    if (there === null) throw unreachable("none runs");
    return there.call(operation, members, deadlineMs, signal);
  };
  const command = async (operation: string, members: Members, signal: AbortSignal): Promise<void> => {
    await call(operation, members, signal);
  };
  const openAt = async (
    there: ControlConnection,
    request: OpenRequest,
    signal: AbortSignal,
  ): Promise<RelayedShare> => {
    const answer = objectOf(await there.call("open", { ...request }, REQUEST_MS, signal));
    const opened = parseShare(answer["share"], aheadMs(clock, answer));
    if (opened === null) throw notUnderstood();
    known.take(new Map([...known.shares, [opened.share, opened]]));
    removeOldPrograms(home, [there.program]).catch(() => {});
    return opened;
  };

  return {
    get shares() {
      return known.shares;
    },
    get absentSinceMs() {
      return known.shares.size > 0 ? connection.goneSinceMs : null;
    },
    async refresh(signal) {
      signal.throwIfAborted();
      const state = await callIfRunning("refresh", {}, signal);
      if (state === null) known.take(new Map());
      else known.takeState(objectOf(state));
      return known.shares;
    },
    async recount(signal) {
      const state = await callIfRunning("refresh", {}, signal);
      if (state !== null) known.takeState(objectOf(state));
    },
    async open(request, signal) {
      for (let attempt = 1; ; attempt += 1) {
        const there = await connection.connectedOrStarted(signal);
        try {
          return await openAt(there, request, signal);
        } catch (error) {
          // The relay was just ending because its last share had been closed. The new share is opened in the next
          // relay.
          const hasEnded = error instanceof MountaineerError && error.code === "program_unavailable";
          if (!hasEnded || attempt >= 3) throw error;
        }
      }
    },
    bind: (share, mount, signal) => command("bind", { share, mount }, signal),
    configure: (share, change, signal) => command("configure", { share, ...change }, signal),
    async move(request, signal) {
      const outcome = parseMoveOutcome(await call("move", { ...request }, signal, MOVE_MS));
      if (outcome === null) throw notUnderstood();
      return outcome;
    },
    pause: (share, epoch, signal) => command("hold", { share, epoch }, signal),
    confirm: (share, outage, signal) => command("confirm", { share, outage }, signal),
    reopen: (share, signal) => command("reopen", { share }, signal),
    usedUp: (share, signal) => command("used_up", { share }, signal),
    async close(share, signal) {
      await callIfRunning("close", { share }, signal);
    },
    async takeJournal(signal) {
      const entries = await callIfRunning("takeJournal", {}, signal);
      return (Array.isArray(entries) ? entries : []).map(parseJournalEntry).filter((entry) => entry !== null);
    },
    onNotice: known.notices.subscribe,
    [Symbol.asyncDispose]: () => connection[Symbol.asyncDispose](),
  };
}

/** The shares as the relay last reported them, and notices of their changes. */
class KnownShares {
  shares: ReadonlyMap<string, RelayedShare> = new Map();
  /**
   * True until the relay has sent its state over a new connection. Earlier notices are lost, so `unconfirmed` is
   * published again for each unconfirmed share of that state.
   */
  isFirstState = true;
  readonly notices: Bus<RelayNotice>;
  readonly #clock: Clock;

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.notices = createBus({
      onListenerError: (error) => logger.error("a relay event listener failed", { error: errorText(error) }),
    });
  }

  onPush(message: Members): void {
    if (message["push"] === "shares") {
      this.takeState(message);
      if (!this.isFirstState) return;
      this.isFirstState = false;
      for (const { share, phase } of this.shares.values())
        if (phase === "unconfirmed") this.notices.publish({ share, what: "unconfirmed" });
    }
    if (message["push"] !== "notice") return;
    const notice = parseNotice(message["notice"]);
    // "gone" is published when the share leaves the list.
    if (notice !== null && notice.what !== "gone") this.notices.publish(notice);
  }

  takeState(message: Members): void {
    const { shares: list } = message;
    const next = new Map<string, RelayedShare>();
    for (const value of Array.isArray(list) ? list : []) {
      const share = parseShare(value, aheadMs(this.#clock, message));
      if (share !== null) next.set(share.share, share);
    }
    this.take(next);
  }

  take(next: ReadonlyMap<string, RelayedShare>): void {
    const before = this.shares;
    this.shares = next;
    for (const share of before.keys()) if (!next.has(share)) this.notices.publish({ share, what: "gone" });
  }
}

/** The connection to the relay, which is made again after each loss. */
class ReconnectingControl implements AsyncDisposable {
  readonly #options: ConnectOptions;
  readonly #known: KnownShares;
  readonly #ending = new AbortController();
  #connection: ControlConnection | null = null;
  #connecting: Promise<ControlConnection | null> | null = null;
  #starting: Promise<void> | null = null;
  #notify: () => void = () => {};
  /** Since when there is no connection, monotonic ms; null: there is one. */
  goneSinceMs: number | null;

  constructor(options: ConnectOptions, known: KnownShares) {
    this.#options = options;
    this.#known = known;
    this.goneSinceMs = options.clock.monotonicMs();
    // Rejects only when its signal aborts.
    this.#follow().catch(() => {});
  }

  /** The open connection, or a new one; null: no relay listens. */
  connected(): Promise<ControlConnection | null> {
    if (this.#connection !== null) return Promise.resolve(this.#connection);
    this.#connecting ??= this.#connectNow().finally(() => {
      this.#connecting = null;
    });
    return this.#connecting;
  }

  async connectedOrStarted(signal: AbortSignal): Promise<ControlConnection> {
    const { home, clock, programPath = null } = this.#options;
    const startedAtMs = clock.monotonicMs();
    let startNotBeforeMs = startedAtMs;
    let startAgainMs = START_AGAIN_MS;
    for (;;) {
      signal.throwIfAborted();
      const there = await this.connected();
      if (there !== null) return there;
      const nowMs = clock.monotonicMs();
      if (nowMs - startedAtMs >= START_WITHIN_MS) throw unreachable("it does not start");
      if (nowMs >= startNotBeforeMs) {
        // Starts are repeated, because a relay that was ending may have prevented the first one. The pauses
        // grow, because on a slow machine further starts delay the first one.
        startNotBeforeMs = nowMs + startAgainMs;
        startAgainMs *= 2;
        this.#starting ??= startRelay(home, programPath, process.execPath).finally(() => {
          this.#starting = null;
        });
        await this.#starting;
      }
      await clock.sleep(START_POLL_MS, signal);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    this.#connection?.[Symbol.dispose]();
    this.#connection = null;
    await this.#connecting?.catch(() => {});
  }

  async #connectNow(): Promise<ControlConnection | null> {
    const { home, clock, isInCharge = true } = this.#options;
    const path = await findControlSocket(home);
    this.#known.isFirstState = true;
    // Nothing is there, or another user listens there.
    if (!(await isOwnSocket({ path, home }))) return null;
    const next = await connectControl(path, clock, {
      isInCharge,
      onPush: (message) => this.#known.onPush(message),
      onEnd: () => {
        if (this.#connection?.hasEnded) this.#connection = null;
        this.#notify();
      },
    });
    if (next?.hasEnded) return null;
    if (next !== null && this.#ending.signal.aborted) {
      next[Symbol.dispose]();
      return null;
    }
    this.#connection = next;
    return next;
  }

  async #follow(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#ending;
    const aborted = whenAborted(signal);
    let failures = 0;
    for (let isReported = false; ; ) {
      isReported = await this.#tryToConnect(isReported);
      if (this.#connection !== null) {
        failures = 0;
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#notify = resolve;
        await Promise.race([promise, aborted]);
        if (signal.aborted) return;
        this.goneSinceMs = clock.monotonicMs();
      }
      const goneForMs = this.goneSinceMs === null ? 0 : clock.monotonicMs() - this.goneSinceMs;
      if (goneForMs >= BACK_WITHIN_MS) this.#known.take(new Map());
      failures += 1;
      await clock.sleep(backoffMs(this.#known.shares.size > 0 ? PAUSE_MS : IDLE_PAUSE_MS, failures), signal);
    }
  }

  /**
   * Connects if there is no connection. `isReported`: the log already says that the relay cannot be reached, so
   * a failure is not logged again. Resolves with the next value of `isReported`.
   */
  async #tryToConnect(isReported: boolean): Promise<boolean> {
    try {
      if ((await this.connected()) === null) return isReported;
      this.goneSinceMs = null;
      return false;
    } catch (error) {
      if (!isReported) this.#options.logger.warn("the relay cannot be reached", { error: errorText(error) });
      return true;
    }
  }
}

/** By how much this process's monotonic clock is ahead of the relay's, ms. */
function aheadMs(clock: Clock, { nowMs }: Members): number {
  return typeof nowMs === "number" ? clock.monotonicMs() - nowMs : 0;
}

function notUnderstood(): MountaineerError {
  return new MountaineerError("protocol", "the relay's answer is not understood");
}
