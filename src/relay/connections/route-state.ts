// The state of a share's route: its phases, the proofs of its server, and how long programs wait.
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import type { RelayPhase } from "../relay.ts";
import type { NegotiateResult } from "../smb/negotiate-proof.ts";

const TRY_AGAIN_MS = 200;
const TRY_AGAIN_REFUSING_MS = 500;
const TRY_TIMEOUT_MS = 1_000;
/**
 * A server that has ended this many kept connections is assumed to end idle connections regularly. From then on, the
 * end of a kept connection is a sign of trouble only right after the server's answer.
 */
const SENTINELS_AT_MOST = 5;
/**
 * Once this many kept connections in a row have ended right after the server's answer, a further answer
 * counts only if its connection stays open for `LASTS_FOR_MS`.
 */
const ENDED_AT_ONCE_AT_MOST = 2;
const LASTS_FOR_MS = 500;
/**
 * When the server answers again, the daemon has at least this long, ms, to prove it, even if the patience
 * (`patienceMs`) ends sooner.
 */
const LEAST_TIME_TO_CONFIRM_MS = 10_000;

interface RouteStateOptions {
  readonly clock: Clock;
  readonly patienceMs: () => number;
  /** True: nothing may be sent to the server. */
  readonly isOffNetwork: () => boolean;
  readonly firstOutage: number;
  /** Probes the server over the route in use, and keeps the connection. Calls `onGone` when the server ends it. */
  readonly prove: (timeoutMs: number, onGone: () => void) => Promise<NegotiateResult>;
  /** Called after each change of the phase, and of `outage`. */
  readonly onPhase: () => void;
  /** Called when the server answers again, and is not confirmed yet. */
  readonly onUnconfirmed: (proof: Proved) => void;
  /**
   * Called when the patience is over, and by `leave`. Connections that received nothing since `lostAtMs` have to end;
   * if `lostAtMs` is Infinity, all connections.
   */
  readonly onImpatient: (lostAtMs: number) => void;
}

type Proved = Extract<NegotiateResult, { ok: true }>;

export class RouteState implements Disposable {
  readonly #options: RouteStateOptions;
  /**
   * Grows when the route is lost, and when the server ends a connection. A proof that began before the last growth
   * can be refused.
   */
  outage: number;
  /**
   * Monotonic ms since when the server behind the route is not proved to be the mounted one, after a closed, refused
   * or lost connection; null: the server is proved.
   */
  unprovedSinceMs: number | null = null;
  routeLostAtMs: number | null = null;
  /**
   * When the route was last lost, monotonic ms. Unlike `routeLostAtMs`, it stays set when the server answers
   * again. null: not lost since the server was last confirmed.
   */
  lossAtMs: number | null = null;
  #answeredAtMs: number | null = null;
  #isImpatient = false;
  #patience: Timer | null = null;
  #trying: AbortController | null = null;
  /**
   * The connection over which the server answered. It is kept open until the server is confirmed, because it
   * ends if another server takes over the address.
   */
  #sentinel: Disposable | null = null;
  /** How many connections kept as `#sentinel` have ended since the route was lost or the server was confirmed. */
  #sentinelsGone = 0;
  /**
   * How many sentinel connections in a row have ended right after the server's answer. A server that ends them so fast
   * would end programs' connections just as fast.
   */
  #endedAtOnce = 0;
  #announced: RelayPhase = "carrying";

  /** `confirmed`: false after a restart of the relay, because nothing watched the server during the restart. */
  constructor(options: RouteStateOptions, confirmed: boolean) {
    this.#options = options;
    this.outage = options.firstOutage;
    if (confirmed) return;
    this.#invalidate();
    this.#isImpatient = options.isOffNetwork();
    this.#announced = this.phase;
    this.#startTrying();
  }

  get isConfirmed(): boolean {
    return this.unprovedSinceMs === null;
  }

  get phase(): RelayPhase {
    if (this.#isImpatient) return "refusing";
    if (this.routeLostAtMs !== null) return "waiting";
    return this.isConfirmed ? "carrying" : "unconfirmed";
  }

  /** When the unconfirmed server answered again, monotonic ms; null: it has not. */
  get answeredAtMs(): number | null {
    return this.#trying === null ? this.#answeredAtMs : null;
  }

  /** Call when a connect failed, or when the daemon reports that the route is lost. */
  lost(): void {
    this.#invalidate();
    this.#loseRoute(this.#options.clock.monotonicMs());
    this.#emit();
    this.#startTrying();
  }

  /**
   * Call when nothing may be sent to the server from now on. Ends all connections and stops probing, until `lost()` is
   * called.
   */
  leave(): void {
    this.#stopTrying();
    this.#invalidate();
    this.#loseRoute(this.#options.clock.monotonicMs());
    this.#isImpatient = true;
    this.armPatience();
    this.#options.onImpatient(Number.POSITIVE_INFINITY);
    this.#emit();
  }

  /** Call when the server has closed a connection that was in use. */
  markUnproved(): void {
    this.#invalidate();
    // `outage` grows even if the server is unconfirmed already, because a proof under way may be about the previous
    // server.
    this.outage += 1;
    this.#announced = this.phase;
    this.#options.onPhase();
    this.#startTrying();
  }

  /** Call when the server is proved over the route in use, also after a move to another route. */
  confirm(): void {
    this.#stopTrying();
    this.unprovedSinceMs = null;
    this.routeLostAtMs = null;
    this.lossAtMs = null;
    this.#answeredAtMs = null;
    this.#isImpatient = false;
    this.#sentinelsGone = 0;
    this.#endedAtOnce = 0;
    this.armPatience();
    this.#emit();
  }

  armPatience(): void {
    const { clock, patienceMs, onImpatient } = this.#options;
    this.#patience?.[Symbol.dispose]();
    this.#patience = null;
    const sinceMs = this.unprovedSinceMs;
    if (this.#isImpatient || sinceMs === null) return;
    let dueMs = sinceMs + patienceMs();
    if (this.#answeredAtMs !== null) dueMs = Math.max(dueMs, this.#answeredAtMs + LEAST_TIME_TO_CONFIRM_MS);
    this.#patience = clock.setTimer(Math.max(0, dueMs - clock.monotonicMs()), () => {
      this.#isImpatient = true;
      onImpatient(sinceMs);
      this.#emit();
    });
  }

  [Symbol.dispose](): void {
    this.#stopTrying();
    this.#patience?.[Symbol.dispose]();
    this.#patience = null;
  }

  #emit(): void {
    if (this.#announced === this.phase) return;
    this.#announced = this.phase;
    this.#options.onPhase();
  }

  #invalidate(): void {
    if (this.unprovedSinceMs !== null) return;
    this.unprovedSinceMs = this.#options.clock.monotonicMs();
    this.armPatience();
  }

  #loseRoute(atMs: number): void {
    if (this.routeLostAtMs !== null) return;
    this.routeLostAtMs = atMs;
    this.lossAtMs = atMs;
    this.#sentinelsGone = 0;
    this.outage += 1;
  }

  #startTrying(): void {
    if (this.#trying !== null || this.#options.isOffNetwork()) return;
    this.#sentinel?.[Symbol.dispose]();
    this.#sentinel = null;
    const ending = new AbortController();
    this.#trying = ending;
    // Rejects only when the sleep is aborted.
    this.#tryUntilAnswered(ending.signal).catch(() => {});
  }

  #stopTrying(): void {
    this.#trying?.abort();
    this.#trying = null;
    this.#sentinel?.[Symbol.dispose]();
    this.#sentinel = null;
  }

  async #tryUntilAnswered(signal: AbortSignal): Promise<void> {
    const { clock, prove } = this.#options;
    if (this.#sentinelsGone > 1) await clock.sleep(TRY_AGAIN_MS, signal);
    const counts = this.#sentinelsGone < SENTINELS_AT_MOST;
    for (;;) {
      let own: Disposable | null = null;
      const gone = new AbortController();
      const proof = await prove(TRY_TIMEOUT_MS, () => {
        gone.abort();
        if (own !== null && this.#sentinel === own) this.#sentinelEnded(counts, answeredAtMs);
      });
      const answeredAtMs = clock.monotonicMs();
      const lasts = proof.ok && (await this.#lasts(gone.signal, signal));
      if (signal.aborted) {
        if (proof.ok) proof.connection?.[Symbol.dispose]();
        return;
      }
      if (proof.ok && lasts) {
        own = proof.connection ?? null;
        this.#sentinel = own;
        this.#answered(proof);
        if (gone.signal.aborted) this.#sentinelEnded(counts, answeredAtMs);
        return;
      }
      if (!proof.ok) this.#endedAtOnce = 0;
      this.#loseRoute(this.unprovedSinceMs ?? clock.monotonicMs());
      this.#emit();
      await clock.sleep(this.#isImpatient ? TRY_AGAIN_REFUSING_MS : TRY_AGAIN_MS, signal);
    }
  }

  /** True if the connection over which the server answered stays open long enough for the answer to count. */
  async #lasts(gone: AbortSignal, ending: AbortSignal): Promise<boolean> {
    if (this.#endedAtOnce < ENDED_AT_ONCE_AT_MOST) return true;
    const either = AbortSignal.any([gone, ending]);
    await this.#options.clock.sleep(LASTS_FOR_MS, either).catch(() => {});
    return !either.aborted;
  }

  /**
   * Marks the server as unconfirmed after a connection has ended, because another server may have taken over the
   * address. `counts` is false if the server often ends idle connections; then only an end right after the server's
   * answer has this effect.
   */
  #sentinelEnded(counts: boolean, answeredAtMs: number): void {
    const isAtOnce = this.#options.clock.monotonicMs() - answeredAtMs < LASTS_FOR_MS;
    this.#endedAtOnce = isAtOnce ? this.#endedAtOnce + 1 : 0;
    if (!counts && !isAtOnce) return;
    this.#sentinel = null;
    this.#sentinelsGone += 1;
    this.markUnproved();
  }

  #answered(proof: Proved): void {
    this.#trying = null;
    this.routeLostAtMs = null;
    this.#isImpatient = false;
    this.#answeredAtMs = this.#options.clock.monotonicMs();
    this.armPatience();
    this.#emit();
    this.#options.onUnconfirmed(proof);
  }
}
