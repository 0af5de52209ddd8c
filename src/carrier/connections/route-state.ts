// Whether the route of one share takes connections, and since when not: the phases, and the patience that ends.
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import type { CarriedPhase } from "../carrier.ts";
import type { ServerProof } from "../smb/server-proof.ts";

const TRY_AGAIN_MS = 200;
const TRY_AGAIN_REFUSING_MS = 500;
const TRY_TIMEOUT_MS = 1_000;
/** A route that came back late still leaves the daemon this long to prove the server. */
const LEAST_TIME_TO_CONFIRM_MS = 10_000;

interface RouteStateOptions {
  readonly clock: Clock;
  readonly patienceMs: () => number;
  /** What `outage` begins at. */
  readonly firstOutage: number;
  /** Asks the server over the route in use. */
  readonly prove: (timeoutMs: number) => Promise<ServerProof>;
  /** The phase is another now. */
  readonly onPhase: () => void;
  /** The route takes connections again, and the server is not yet proved. */
  readonly onUnconfirmed: (proof: Extract<ServerProof, { ok: true }>) => void;
  /** The patience is over. */
  readonly onImpatient: (lostAtMs: number) => void;
}

export interface RouteState extends Disposable {
  readonly phase: CarriedPhase;
  readonly routeLostAtMs: number | null;
  /** Another one after each loss: a proof that was begun before it says nothing. */
  readonly outage: number;
  /** The server has neither closed nor refused a connection since it was last proved. */
  readonly isConfirmed: boolean;
  /** A connect failed, or there is said to be no route. */
  lost(): void;
  /** The server closed a connection that was in use. */
  doubted(): void;
  confirm(): void;
  /** The route in use is another, and proved. */
  moved(): void;
  /** The patience has changed. */
  patienceChanged(): void;
}

/** `confirmed`: false after a start anew, when nobody knows what has happened meanwhile. */
export function createRouteState(options: RouteStateOptions, confirmed: boolean): RouteState {
  const { clock } = options;
  let isConfirmed = true;
  let outage = options.firstOutage;
  /** When the server was first doubted, since it was last proved. */
  let doubtedAtMs: number | null = null;
  let routeLostAtMs: number | null = null;
  let answeredAtMs: number | null = null;
  let impatient = false;
  let patience: Timer | null = null;
  let trying: AbortController | null = null;
  let told: CarriedPhase = "carrying";

  const phase = (): CarriedPhase => {
    if (impatient) return "refusing";
    if (routeLostAtMs !== null) return "waiting";
    return isConfirmed ? "carrying" : "unconfirmed";
  };
  const tell = (): void => {
    if (told === phase()) return;
    told = phase();
    options.onPhase();
  };
  const armPatience = (): void => {
    patience?.[Symbol.dispose]();
    patience = null;
    if (isConfirmed || impatient || doubtedAtMs === null) return;
    let dueMs = doubtedAtMs + options.patienceMs();
    if (answeredAtMs !== null) dueMs = Math.max(dueMs, answeredAtMs + LEAST_TIME_TO_CONFIRM_MS);
    patience = clock.setTimer(Math.max(0, dueMs - clock.monotonicMs()), () => {
      const sinceMs = doubtedAtMs ?? dueMs;
      impatient = true;
      options.onImpatient(sinceMs);
      tell();
    });
  };
  const stopTrying = (): void => {
    trying?.abort();
    trying = null;
  };
  const tryUntilAnswered = async (signal: AbortSignal): Promise<void> => {
    for (;;) {
      const proof = await options.prove(TRY_TIMEOUT_MS);
      if (signal.aborted) return;
      if (proof.ok) {
        answered(proof);
        return;
      }
      loseRoute(doubtedAtMs ?? clock.monotonicMs());
      tell();
      await clock.sleep(impatient ? TRY_AGAIN_REFUSING_MS : TRY_AGAIN_MS, signal);
    }
  };
  const startTrying = (): void => {
    if (trying !== null) return;
    const ending = new AbortController();
    trying = ending;
    // Only the sleep rejects, when it is ended.
    tryUntilAnswered(ending.signal).catch(() => {});
  };
  const answered = (proof: Extract<ServerProof, { ok: true }>): void => {
    trying = null;
    routeLostAtMs = null;
    impatient = false;
    answeredAtMs = clock.monotonicMs();
    armPatience();
    tell();
    options.onUnconfirmed(proof);
  };
  const loseRoute = (atMs: number): void => {
    if (routeLostAtMs !== null) return;
    routeLostAtMs = atMs;
    outage += 1;
  };
  const doubt = (): void => {
    isConfirmed = false;
    if (doubtedAtMs === null) {
      doubtedAtMs = clock.monotonicMs();
      answeredAtMs = null;
      armPatience();
    }
  };
  const settle = (): void => {
    stopTrying();
    isConfirmed = true;
    doubtedAtMs = null;
    routeLostAtMs = null;
    answeredAtMs = null;
    impatient = false;
    armPatience();
    tell();
  };
  if (!confirmed) {
    doubt();
    told = phase();
    startTrying();
  }
  return {
    get phase() {
      return phase();
    },
    get routeLostAtMs() {
      return routeLostAtMs;
    },
    get outage() {
      return outage;
    },
    get isConfirmed() {
      return isConfirmed;
    },
    lost() {
      doubt();
      loseRoute(clock.monotonicMs());
      tell();
      startTrying();
    },
    doubted() {
      doubt();
      // Also while it is in doubt: a proof that is under way may be of the server before this one.
      outage += 1;
      if (told === phase()) options.onPhase();
      else tell();
      startTrying();
    },
    confirm: settle,
    moved: settle,
    patienceChanged: armPatience,
    [Symbol.dispose]() {
      stopTrying();
      patience?.[Symbol.dispose]();
      patience = null;
    },
  };
}
