// The daemon's view of the carrier: connects when one runs, starts one when a share is to be carried, and follows it.
import { whenAborted } from "../../runtime/abort.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { CarriedShare, Carrier, CarrierNotice, OpenRequest } from "../carrier.ts";
import { parseJournalEntry, parseMoveOutcome, parseNotice, parseShare } from "../control/control-messages.ts";
import { findControlSocket } from "../control/control-socket.ts";
import { removeOldPrograms, startCarrier } from "./carrier-program.ts";
import { type ControlConnection, connectControl, unreachable } from "./control-connection.ts";

const QUESTION_MS = 5_000;
const MOVE_MS = 4_000;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;
/** A carrier that was killed is back by then, with all its shares. */
const BACK_WITHIN_MS = 3_000;
const START_WITHIN_MS = 15_000;
const LOOK_FOR_START_MS = 20;
const START_AGAIN_MS = 1_000;

interface ConnectOptions {
  readonly home: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The bundled program; default that of this package. */
  readonly programPath?: string;
}

type Members = Readonly<Record<string, unknown>>;

/** Connects to a carrier that runs, now or later, and starts none. Dispose to let go of it; it carries on. */
export function connectCarrier(options: ConnectOptions): Carrier {
  const { home, clock, logger } = options;
  const known = new KnownShares(clock, logger);
  const link = new CarrierLink(options, known);

  /** null: no carrier runs. */
  const askIfThere = async (operation: string, members: Members, signal: AbortSignal): Promise<unknown> => {
    const there = await link.connected();
    return there === null ? null : there.ask(operation, members, QUESTION_MS, signal);
  };
  const ask = async (
    operation: string,
    members: Members,
    signal: AbortSignal,
    deadlineMs = QUESTION_MS,
  ): Promise<unknown> => {
    signal.throwIfAborted();
    const there = await link.connected();
    if (there === null) throw unreachable("none runs");
    return there.ask(operation, members, deadlineMs, signal);
  };
  const command = async (operation: string, members: Members, signal: AbortSignal): Promise<void> => {
    await ask(operation, members, signal);
  };
  const openAt = async (
    there: ControlConnection,
    request: OpenRequest,
    signal: AbortSignal,
  ): Promise<CarriedShare> => {
    const answer = membersOf(await there.ask("open", { ...request }, QUESTION_MS, signal));
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
      return known.shares.size > 0 ? link.goneSinceMs : null;
    },
    async refresh(signal) {
      signal.throwIfAborted();
      const state = await askIfThere("refresh", {}, signal);
      if (state === null) known.take(new Map());
      else known.takeState(membersOf(state));
      return known.shares;
    },
    async recount(signal) {
      const state = await askIfThere("refresh", {}, signal);
      if (state !== null) known.takeState(membersOf(state));
    },
    async open(request, signal) {
      for (let attempt = 1; ; attempt += 1) {
        const there = await link.connectedOrStarted(signal);
        try {
          return await openAt(there, request, signal);
        } catch (error) {
          // The carrier was just ending with its last share: the next one opens the new share.
          const hasEnded = error instanceof MountaineerError && error.code === "program_unavailable";
          if (!hasEnded || attempt >= 3) throw error;
        }
      }
    },
    bind: (share, mount, signal) => command("bind", { share, mount }, signal),
    configure: (share, change, signal) => command("configure", { share, ...change }, signal),
    async move(request, signal) {
      const outcome = parseMoveOutcome(await ask("move", { ...request }, signal, MOVE_MS));
      if (outcome === null) throw notUnderstood();
      return outcome;
    },
    hold: (share, epoch, signal) => command("hold", { share, epoch }, signal),
    confirm: (share, outage, signal) => command("confirm", { share, outage }, signal),
    reopen: (share, signal) => command("reopen", { share }, signal),
    usedUp: (share, signal) => command("used_up", { share }, signal),
    async close(share, signal) {
      await askIfThere("close", { share }, signal);
    },
    async takeJournal(signal) {
      const entries = await askIfThere("takeJournal", {}, signal);
      return (Array.isArray(entries) ? entries : []).map(parseJournalEntry).filter((entry) => entry !== null);
    },
    onNotice: (listener) => known.onNotice(listener),
    async [Symbol.asyncDispose]() {
      known.forgetListeners();
      await link[Symbol.asyncDispose]();
    },
  };
}

/** The shares as the carrier reported them, and the listeners for changes. */
class KnownShares {
  shares: ReadonlyMap<string, CarriedShare> = new Map();
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #listeners = new Set<(notice: CarrierNotice) => void>();
  /** What was reported while nobody listened is seen in the first state of a connection. */
  #isFirstState = true;

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  onNotice(listener: (notice: CarrierNotice) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  forgetListeners(): void {
    this.#listeners.clear();
  }

  /** A new connection begins. */
  expectFirstState(): void {
    this.#isFirstState = true;
  }

  onPush(message: Members): void {
    if (message["push"] === "shares") {
      this.takeState(message);
      if (!this.#isFirstState) return;
      this.#isFirstState = false;
      for (const { share, phase } of this.shares.values())
        if (phase === "unconfirmed") this.#emit({ share, what: "unconfirmed" });
    }
    if (message["push"] !== "notice") return;
    const notice = parseNotice(message["notice"]);
    // Reported already when the share left the list.
    if (notice !== null && notice.what !== "gone") this.#emit(notice);
  }

  takeState(message: Members): void {
    const { shares: list } = message;
    const next = new Map<string, CarriedShare>();
    for (const value of Array.isArray(list) ? list : []) {
      const share = parseShare(value, aheadMs(this.#clock, message));
      if (share !== null) next.set(share.share, share);
    }
    this.take(next);
  }

  take(next: ReadonlyMap<string, CarriedShare>): void {
    const before = this.shares;
    this.shares = next;
    for (const share of before.keys()) if (!next.has(share)) this.#emit({ share, what: "gone" });
  }

  #emit(notice: CarrierNotice): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(notice);
      } catch (error) {
        this.#logger.error("a listener to the carrier failed", { error: errorText(error) });
      }
    }
  }
}

/** The connection to the carrier: made again whenever it is lost. */
class CarrierLink implements AsyncDisposable {
  readonly #options: ConnectOptions;
  readonly #known: KnownShares;
  readonly #ending = new AbortController();
  #connection: ControlConnection | null = null;
  #connecting: Promise<ControlConnection | null> | null = null;
  #starting: Promise<void> | null = null;
  #wake: () => void = () => {};
  #goneSinceMs: number | null;

  constructor(options: ConnectOptions, known: KnownShares) {
    this.#options = options;
    this.#known = known;
    this.#goneSinceMs = options.clock.monotonicMs();
    // Rejects only when its signal aborts.
    this.#follow().catch(() => {});
  }

  /** Monotonic ms; null: connected. */
  get goneSinceMs(): number | null {
    return this.#goneSinceMs;
  }

  /** The open connection, or a new one; null: no carrier listens. */
  connected(): Promise<ControlConnection | null> {
    if (this.#connection !== null) return Promise.resolve(this.#connection);
    this.#connecting ??= this.#connectNow().finally(() => {
      this.#connecting = null;
    });
    return this.#connecting;
  }

  /** The carrier that runs, else one that is started now. */
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
        // Try again only because a carrier that was ending may have been in the way; rarely, as each start slows down
        // the first one on a slow machine.
        startNotBeforeMs = nowMs + startAgainMs;
        startAgainMs *= 2;
        this.#starting ??= startCarrier(home, programPath, process.execPath).finally(() => {
          this.#starting = null;
        });
        await this.#starting;
      }
      await clock.sleep(LOOK_FOR_START_MS, signal);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    this.#connection?.[Symbol.dispose]();
    this.#connection = null;
    await this.#connecting?.catch(() => {});
  }

  async #connectNow(): Promise<ControlConnection | null> {
    const { home, clock } = this.#options;
    const path = await findControlSocket(home);
    this.#known.expectFirstState();
    const next = await connectControl(path, clock, {
      onPush: (message) => this.#known.onPush(message),
      onEnd: () => {
        if (this.#connection?.hasEnded) this.#connection = null;
        this.#wake();
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

  /** Follows the carrier for as long as this lives. */
  async #follow(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#ending;
    const aborted = whenAborted(signal);
    let pauseMs = FIRST_PAUSE_MS;
    for (let saidSo = false; ; ) {
      saidSo = await this.#tryToConnect(saidSo);
      if (this.#connection !== null) {
        pauseMs = FIRST_PAUSE_MS;
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#wake = resolve;
        await Promise.race([promise, aborted]);
        if (signal.aborted) return;
        this.#goneSinceMs = clock.monotonicMs();
      }
      const goneForMs = this.#goneSinceMs === null ? 0 : clock.monotonicMs() - this.#goneSinceMs;
      if (goneForMs >= BACK_WITHIN_MS) this.#known.take(new Map());
      await clock.sleep(pauseMs, signal);
      pauseMs = Math.min(pauseMs * 1.5, this.#known.shares.size > 0 ? BACK_WITHIN_MS / 10 : LONGEST_PAUSE_MS);
    }
  }

  /** Resolves with whether the log says that the carrier cannot be asked. */
  async #tryToConnect(saidSo: boolean): Promise<boolean> {
    try {
      if ((await this.connected()) === null) return saidSo;
      this.#goneSinceMs = null;
      return false;
    } catch (error) {
      if (!saidSo) this.#options.logger.warn("the carrier cannot be asked", { error: errorText(error) });
      return true;
    }
  }
}

/** How far this process's clock is ahead of the carrier's. */
function aheadMs(clock: Clock, { nowMs }: Members): number {
  return typeof nowMs === "number" ? clock.monotonicMs() - nowMs : 0;
}

function membersOf(value: unknown): Members {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

function notUnderstood(): MountaineerError {
  return new MountaineerError("protocol", "the carrier's answer is not understood");
}
