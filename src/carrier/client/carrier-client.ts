// The daemon's view of the carrier: connects when one runs, starts one when a share is to be carried, and follows it.
import { whenAborted } from "../../runtime/abort.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { CarriedShare, Carrier, CarrierNotice } from "../carrier.ts";
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
  /** Default: the Node that runs this. */
  readonly nodePath?: string;
}

type Members = Readonly<Record<string, unknown>>;

/** Connects to a carrier that runs, now or later, and starts none. Dispose to let go of it; it carries on. */
export function connectCarrier(options: ConnectOptions): Carrier {
  const { home, clock, logger } = options;
  const programPath = options.programPath ?? null;
  const nodePath = options.nodePath ?? process.execPath;
  const listeners = new Set<(notice: CarrierNotice) => void>();
  const ending = new AbortController();
  let shares: ReadonlyMap<string, CarriedShare> = new Map();
  let connection: ControlConnection | null = null;
  let connecting: Promise<ControlConnection | null> | null = null;
  let starting: Promise<void> | null = null;
  let wake: () => void = () => {};
  /** null: connected. */
  let goneSinceMs: number | null = clock.monotonicMs();

  const tell = (notice: CarrierNotice): void => {
    for (const listener of [...listeners]) {
      try {
        listener(notice);
      } catch (error) {
        logger.error("a listener to the carrier failed", { error: errorText(error) });
      }
    }
  };
  const take = (next: ReadonlyMap<string, CarriedShare>): void => {
    const before = shares;
    shares = next;
    for (const share of before.keys()) if (!next.has(share)) tell({ share, what: "gone" });
  };
  const takeState = (message: Members): void => {
    const { nowMs, shares: list } = message;
    const aheadMs = typeof nowMs === "number" ? clock.monotonicMs() - nowMs : 0;
    const next = new Map<string, CarriedShare>();
    for (const value of Array.isArray(list) ? list : []) {
      const share = parseShare(value, aheadMs);
      if (share !== null) next.set(share.share, share);
    }
    take(next);
  };
  /** What was told while nobody listened is seen from the first state of a connection. */
  let isFirstState = true;
  const onPush = (message: Members): void => {
    if (message["push"] === "shares") {
      takeState(message);
      if (!isFirstState) return;
      isFirstState = false;
      for (const { share, phase } of shares.values())
        if (phase === "unconfirmed") tell({ share, what: "unconfirmed" });
    }
    if (message["push"] !== "notice") return;
    const notice = parseNotice(message["notice"]);
    // Told already when the share left the list.
    if (notice !== null && notice.what !== "gone") tell(notice);
  };

  const connectNow = async (): Promise<ControlConnection | null> => {
    const path = await findControlSocket(home);
    isFirstState = true;
    const next: ControlConnection | null = await connectControl(path, clock, {
      onPush,
      onEnd() {
        if (connection === next) connection = null;
        wake();
      },
    });
    if (next !== null && ending.signal.aborted) {
      next[Symbol.dispose]();
      return null;
    }
    connection = next;
    return next;
  };
  /** The one there is, or a new one; null: nobody listens. */
  const connected = (): Promise<ControlConnection | null> => {
    if (connection !== null) return Promise.resolve(connection);
    connecting ??= connectNow().finally(() => {
      connecting = null;
    });
    return connecting;
  };

  /** Follows the carrier for as long as this lives. */
  const follow = async (): Promise<void> => {
    let pauseMs = FIRST_PAUSE_MS;
    let saidSo = false;
    for (;;) {
      try {
        if ((await connected()) !== null) {
          pauseMs = FIRST_PAUSE_MS;
          goneSinceMs = null;
          saidSo = false;
        }
      } catch (error) {
        if (!saidSo) logger.warn("the carrier cannot be asked", { error: errorText(error) });
        saidSo = true;
      }
      if (connection !== null) {
        const { promise, resolve } = Promise.withResolvers<void>();
        wake = resolve;
        if (connection !== null) await Promise.race([promise, aborted]);
        if (ending.signal.aborted) return;
        goneSinceMs = clock.monotonicMs();
        pauseMs = FIRST_PAUSE_MS;
      }
      if (goneSinceMs !== null && clock.monotonicMs() - goneSinceMs >= BACK_WITHIN_MS) take(new Map());
      await clock.sleep(pauseMs, ending.signal);
      pauseMs = Math.min(pauseMs * 1.5, shares.size > 0 ? BACK_WITHIN_MS / 10 : LONGEST_PAUSE_MS);
    }
  };
  const aborted = whenAborted(ending.signal);

  /** The carrier that runs, else one that is started now. */
  const connectedOrStarted = async (signal: AbortSignal): Promise<ControlConnection> => {
    const startedAtMs = clock.monotonicMs();
    let startNotBeforeMs = startedAtMs;
    let startAgainMs = START_AGAIN_MS;
    for (;;) {
      signal.throwIfAborted();
      const there = await connected();
      if (there !== null) return there;
      const nowMs = clock.monotonicMs();
      if (nowMs - startedAtMs >= START_WITHIN_MS) throw unreachable("it does not start");
      if (nowMs >= startNotBeforeMs) {
        // Again only because one that was just ending may have been in the way; seldom, as each takes from a slow
        // machine what the first one needs.
        startNotBeforeMs = nowMs + startAgainMs;
        startAgainMs *= 2;
        starting ??= startCarrier(home, programPath, nodePath).finally(() => {
          starting = null;
        });
        await starting;
      }
      await clock.sleep(LOOK_FOR_START_MS, signal);
    }
  };
  const askNow = async (
    operation: string,
    members: Members,
    signal: AbortSignal,
    deadlineMs = QUESTION_MS,
  ): Promise<unknown> => {
    signal.throwIfAborted();
    const there = await connected();
    if (there === null) throw unreachable("none runs");
    return there.ask(operation, members, deadlineMs, signal);
  };

  // Ends by its signal alone.
  follow().catch(() => {});
  return {
    get shares() {
      return shares;
    },
    get absentSinceMs() {
      return shares.size > 0 ? goneSinceMs : null;
    },
    async refresh(signal) {
      signal.throwIfAborted();
      const there = await connected();
      if (there === null) take(new Map());
      else takeState(membersOf(await there.ask("refresh", {}, QUESTION_MS, signal)));
      return shares;
    },
    async open(request, signal) {
      for (let attempt = 1; ; attempt += 1) {
        const there = await connectedOrStarted(signal);
        try {
          const { nowMs, share } = membersOf(await there.ask("open", { ...request }, QUESTION_MS, signal));
          const aheadMs = typeof nowMs === "number" ? clock.monotonicMs() - nowMs : 0;
          const opened = parseShare(share, aheadMs);
          if (opened === null)
            throw new MountaineerError("protocol", "the carrier's answer is not understood");
          take(new Map([...shares, [opened.share, opened]]));
          removeOldPrograms(home, [there.program]).catch(() => {});
          return opened;
        } catch (error) {
          // It ended with its last share just then: the next one opens it.
          const hasEnded = error instanceof MountaineerError && error.code === "program_unavailable";
          if (!hasEnded || attempt >= 3) throw error;
        }
      }
    },
    async bind(share, mount, signal) {
      await askNow("bind", { share, mount }, signal);
    },
    async configure(share, change, signal) {
      await askNow("configure", { share, ...change }, signal);
    },
    async move(request, signal) {
      const outcome = parseMoveOutcome(await askNow("move", { ...request }, signal, MOVE_MS));
      if (outcome === null) throw new MountaineerError("protocol", "the carrier's answer is not understood");
      return outcome;
    },
    async hold(share, signal) {
      await askNow("hold", { share }, signal);
    },
    async confirm(share, outage, signal) {
      await askNow("confirm", { share, outage }, signal);
    },
    async usedUp(share, signal) {
      await askNow("used_up", { share }, signal);
    },
    async close(share, signal) {
      const there = await connected();
      if (there !== null) await there.ask("close", { share }, QUESTION_MS, signal);
    },
    async takeJournal(signal) {
      const there = await connected();
      if (there === null) return [];
      const entries = await there.ask("takeJournal", {}, QUESTION_MS, signal);
      return (Array.isArray(entries) ? entries : []).map(parseJournalEntry).filter((entry) => entry !== null);
    },
    onNotice(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async [Symbol.asyncDispose]() {
      ending.abort();
      listeners.clear();
      connection?.[Symbol.dispose]();
      connection = null;
      await connecting?.catch(() => {});
    },
  };
}

function membersOf(value: unknown): Members {
  return typeof value === "object" && value !== null ? { ...value } : {};
}
