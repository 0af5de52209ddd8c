// Whether the route of one share accepts connections, and since when not: its phases, and how long programs wait.
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import type { CarriedPhase } from "../carrier.ts";
import type { ServerProof } from "../smb/server-proof.ts";

const TRY_AGAIN_MS = 200;
const TRY_AGAIN_REFUSING_MS = 500;
const TRY_TIMEOUT_MS = 1_000;
/** If a server ends this many idle connections in a row, that is its habit and proves nothing. */
const WITNESSES_AT_MOST = 5;
/** After this many connections that ended at once, the server counts as there only when a connection has lasted. */
const ENDED_AT_ONCE_AT_MOST = 2;
const STANDS_FOR_MS = 500;
/** A route that comes back late still leaves the daemon this long to prove the server. */
const LEAST_TIME_TO_CONFIRM_MS = 10_000;

interface RouteStateOptions {
  readonly clock: Clock;
  readonly patienceMs: () => number;
  /** Whether nothing may be sent to the server. */
  readonly isAway: () => boolean;
  /** The first value of `outage`. */
  readonly firstOutage: number;
  /** Probes the server over the route in use, and keeps the connection. `onGone`: that server has gone since. */
  readonly prove: (timeoutMs: number, onGone: () => void) => Promise<ServerProof>;
  /** The phase is another now. */
  readonly onPhase: () => void;
  /** The route accepts connections again, but the server is not proved yet. */
  readonly onUnconfirmed: (proof: Proved) => void;
  /** The route has been lost for longer than the patience. */
  readonly onImpatient: (lostAtMs: number) => void;
}

type Proved = Extract<ServerProof, { ok: true }>;

/** The phase that a route is in, and what changes it. */
export class RouteState implements Disposable {
  readonly #options: RouteStateOptions;
  #isConfirmed = true;
  #outage: number;
  /** When the server was first doubted since it was last proved. */
  #doubtedAtMs: number | null = null;
  #routeLostAtMs: number | null = null;
  #lossAtMs: number | null = null;
  #answeredAtMs: number | null = null;
  #isImpatient = false;
  #patience: Timer | null = null;
  #trying: AbortController | null = null;
  /** A connection that stays open from the server's proof to its confirmation: it ends if another server takes over. */
  #witness: Disposable | null = null;
  /** How many witnesses in a row have ended since the route was lost or the server proved. */
  #witnessesGone = 0;
  /** How many of them in a row ended right after their answer: connections of programs would be cut off, too. */
  #endedAtOnce = 0;
  #announced: CarriedPhase = "carrying";

  /** `confirmed`: false after a restart of the carrier, because nobody knows what happened meanwhile. */
  constructor(options: RouteStateOptions, confirmed: boolean) {
    this.#options = options;
    this.#outage = options.firstOutage;
    if (confirmed) return;
    this.#doubt();
    this.#isImpatient = options.isAway();
    this.#announced = this.phase;
    this.#startTrying();
  }

  get phase(): CarriedPhase {
    if (this.#isImpatient) return "refusing";
    if (this.#routeLostAtMs !== null) return "waiting";
    return this.#isConfirmed ? "carrying" : "unconfirmed";
  }

  get routeLostAtMs(): number | null {
    return this.#routeLostAtMs;
  }

  /** When the route was last lost since the server was last proved, also when it answers again; null: it was not. */
  get lossAtMs(): number | null {
    return this.#lossAtMs;
  }

  /** When the server was first doubted, since it was last proved; null: it was not. */
  get doubtedAtMs(): number | null {
    return this.#doubtedAtMs;
  }

  /** When the server answered again after the doubt; null: it has not. */
  get answeredAtMs(): number | null {
    return this.#trying === null ? this.#answeredAtMs : null;
  }

  /** A number that changes with each loss: proofs that began before it do not count. */
  get outage(): number {
    return this.#outage;
  }

  /** The server has neither closed nor refused a connection since it was last proved. */
  get isConfirmed(): boolean {
    return this.#isConfirmed;
  }

  /** A connect failed, or the daemon says that there is no route. */
  lost(): void {
    this.#doubt();
    this.#loseRoute(this.#options.clock.monotonicMs());
    this.#emit();
    this.#startTrying();
  }

  /** Nothing may be sent to the server any more: what waits or goes on there ends now. `lost` asks it again. */
  leave(): void {
    this.#stopTrying();
    this.#doubt();
    this.#loseRoute(this.#options.clock.monotonicMs());
    this.#isImpatient = true;
    this.armPatience();
    this.#options.onImpatient(Number.POSITIVE_INFINITY);
    this.#emit();
  }

  /** The server closed a connection that was in use. */
  doubted(): void {
    this.#doubt();
    // Also while it is in doubt already: a proof that is under way may be of the server before this one.
    this.#outage += 1;
    if (this.#announced === this.phase) this.#options.onPhase();
    else this.#emit();
    this.#startTrying();
  }

  /** The server is proved, over the route in use or over another one that is now in use. */
  confirm(): void {
    this.#stopTrying();
    this.#isConfirmed = true;
    this.#doubtedAtMs = null;
    this.#routeLostAtMs = null;
    this.#lossAtMs = null;
    this.#answeredAtMs = null;
    this.#isImpatient = false;
    this.#witnessesGone = 0;
    this.#endedAtOnce = 0;
    this.armPatience();
    this.#emit();
  }

  /** Call it also when the patience has changed. */
  armPatience(): void {
    const { clock, patienceMs, onImpatient } = this.#options;
    this.#patience?.[Symbol.dispose]();
    this.#patience = null;
    const sinceMs = this.#doubtedAtMs;
    if (this.#isConfirmed || this.#isImpatient || sinceMs === null) return;
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

  #doubt(): void {
    this.#isConfirmed = false;
    if (this.#doubtedAtMs !== null) return;
    this.#doubtedAtMs = this.#options.clock.monotonicMs();
    this.#answeredAtMs = null;
    this.armPatience();
  }

  #loseRoute(atMs: number): void {
    if (this.#routeLostAtMs !== null) return;
    this.#routeLostAtMs = atMs;
    this.#lossAtMs = atMs;
    this.#witnessesGone = 0;
    this.#outage += 1;
  }

  #startTrying(): void {
    if (this.#trying !== null || this.#options.isAway()) return;
    this.#witness?.[Symbol.dispose]();
    this.#witness = null;
    const ending = new AbortController();
    this.#trying = ending;
    // Rejects only when the sleep is aborted.
    this.#tryUntilAnswered(ending.signal).catch(() => {});
  }

  #stopTrying(): void {
    this.#trying?.abort();
    this.#trying = null;
    this.#witness?.[Symbol.dispose]();
    this.#witness = null;
  }

  async #tryUntilAnswered(signal: AbortSignal): Promise<void> {
    const { clock, prove } = this.#options;
    if (this.#witnessesGone > 1) await clock.sleep(TRY_AGAIN_MS, signal);
    const counts = this.#witnessesGone < WITNESSES_AT_MOST;
    for (;;) {
      let own: Disposable | null = null;
      const gone = new AbortController();
      const proof = await prove(TRY_TIMEOUT_MS, () => {
        gone.abort();
        if (own !== null && this.#witness === own) this.#witnessGone(counts, answeredAtMs);
      });
      const answeredAtMs = clock.monotonicMs();
      const stands = proof.ok && (await this.#stands(gone.signal, signal));
      if (signal.aborted) {
        if (proof.ok) proof.connection?.[Symbol.dispose]();
        return;
      }
      if (proof.ok && stands) {
        own = proof.connection ?? null;
        this.#witness = own;
        this.#answered(proof);
        if (gone.signal.aborted) this.#witnessGone(counts, answeredAtMs);
        return;
      }
      if (!proof.ok) this.#endedAtOnce = 0;
      this.#loseRoute(this.#doubtedAtMs ?? clock.monotonicMs());
      this.#emit();
      await clock.sleep(this.#isImpatient ? TRY_AGAIN_REFUSING_MS : TRY_AGAIN_MS, signal);
    }
  }

  /** Whether an answered connection lasts long enough to count as an answer of the server. */
  async #stands(gone: AbortSignal, ending: AbortSignal): Promise<boolean> {
    if (this.#endedAtOnce < ENDED_AT_ONCE_AT_MOST) return true;
    const either = AbortSignal.any([gone, ending]);
    await this.#options.clock.sleep(STANDS_FOR_MS, either).catch(() => {});
    return !either.aborted;
  }

  /** The server that was proved, or is just being proved, may be another one now. */
  #witnessGone(counts: boolean, answeredAtMs: number): void {
    const isAtOnce = this.#options.clock.monotonicMs() - answeredAtMs < STANDS_FOR_MS;
    this.#endedAtOnce = isAtOnce ? this.#endedAtOnce + 1 : 0;
    if (!counts && !isAtOnce) return;
    this.#witness = null;
    this.#witnessesGone += 1;
    this.doubted();
  }

  #answered(proof: Proved): void {
    this.#trying = null;
    this.#routeLostAtMs = null;
    this.#isImpatient = false;
    this.#answeredAtMs = this.#options.clock.monotonicMs();
    this.armPatience();
    this.#emit();
    this.#options.onUnconfirmed(proof);
  }
}
