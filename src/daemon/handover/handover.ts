// The handover of this daemon's home to a peer daemon: starts a successor and, when it is ready, releases what only one
// daemon may have. A failure before that leaves this daemon in charge. After that, this daemon serves its clients, and
// starts successors until one has taken over and lasts.
import type { HandOverReport } from "../../api/contract/contract.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import type { RuntimeTools } from "../../runtime/log/runtime-tools.ts";
import type { ServiceSupervisor } from "../../runtime/process/service-supervisor.ts";
import { shellCommand } from "../../runtime/text/plain-text.ts";
import { backoffMs } from "../../runtime/time/backoff.ts";
import { settlesWithin } from "../../runtime/time/clock.ts";
import type { ServiceRelease } from "./service-release.ts";
import { type Ready, refused, Successor, type SuccessorProgram } from "./successor.ts";

/** Time for the successor to read its configuration, start its backends and list their tools, ms. */
const READY_MS = 60_000;
/** Time for the successor to take over the home's lock, state and sockets, ms. */
const TAKEN_MS = 30_000;
/** A successor that ends within this time after it has taken over is followed by another one, ms. */
const LASTS_MS = 2_000;
const TRIES = 3;
/** Phases in which the successor answers the calls of a backend that is ready here. */
const SERVES: ReadonlySet<string> = new Set(["Ready", "Asleep"]);
/**
 * Pauses between attempts to start a successor after the home was given up, ms. The second attempt follows at
 * once.
 */
const WAIT_MS = { first: 250, most: 30_000 };

/** The resources that only the daemon in charge has. */
export interface OwnedResources extends Omit<ServiceRelease, "giveUp" | "leave"> {
  /**
   * Ends the share engine's steps, saves everything, gives up the sockets and the home. Rejects only if the home's
   * lock cannot be released; then this process must end.
   */
  giveUp(): Promise<void>;
}

interface HandoverOptions extends RuntimeTools {
  readonly program: SuccessorProgram;
  /**
   * The parent process that keeps the service alive. Null: there is none, so the service would end with this
   * process.
   */
  readonly supervisor: ServiceSupervisor | null;
  readonly owned: OwnedResources;
}

export class Handover implements AsyncDisposable {
  readonly #options: HandoverOptions;
  readonly #done = Promise.withResolvers<Successor | null>();
  readonly #lasting = Promise.withResolvers<Successor | null>();
  readonly #stop = new AbortController();
  #next: Successor | null = null;
  #isRunning = false;
  #isOver = false;
  #hasTaken = false;

  constructor(options: HandoverOptions) {
    this.#options = options;
  }

  /**
   * Resolves with the daemon that has taken over; null if the successor was stopped before it took over, so
   * that the service ends.
   */
  get done(): Promise<Successor | null> {
    return this.#done.promise;
  }

  /** The newest one, from when this daemon gives up the home. */
  get successor(): Successor | null {
    return this.#isOver ? this.#next : null;
  }

  /** Resolves with the daemon that has taken over and lasts; null if the service ends. Until then this process stays. */
  get lasting(): Promise<Successor | null> {
    return this.#lasting.promise;
  }

  /**
   * Hands over. Resolves when this daemon begins to give up the home; rejects with `handover_failed` if that
   * does not happen, and then nothing has changed.
   */
  async begin(signal: AbortSignal): Promise<HandOverReport> {
    const { supervisor, logger } = this.#options;
    if (supervisor === null) throw notSupervised();
    if (this.#isRunning || this.#isOver) {
      throw new MountaineerError("handover_failed", "a handover is under way already", { retry: "later" });
    }
    this.#isRunning = true;
    try {
      const { next, ready } = await this.#startKnowing(supervisor, signal);
      this.#isOver = true;
      logger.info("handing over", { to: next.pid, version: ready.version });
      // Starts after the caller has its answer, because the handover closes the socket.
      setImmediate(() => void this.#cross(supervisor, next));
      return { from: process.pid, to: next.pid ?? 0, version: ready.version };
    } finally {
      this.#isRunning = false;
    }
  }

  /** Ends a successor that is not in charge yet: otherwise it would take over from a service that stops. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#lasting.resolve(null);
    if (this.#hasTaken) return;
    if (this.#isOver) await this.#next?.stop(this.#options.clock);
    else await this.#next?.kill();
  }

  /**
   * Starts a successor that serves all backends of this daemon and knows this daemon's latest changes. If something has
   * changed since, ends that successor and starts another one. Only the file may have changed after the last attempt: the
   * successor reads it again once it is in charge.
   */
  async #startKnowing(
    supervisor: ServiceSupervisor,
    signal: AbortSignal,
  ): Promise<{ next: Successor; ready: Ready }> {
    const { owned } = this.#options;
    for (let tries = 1; ; tries++) {
      const [changes, config] = [owned.changes(), owned.config()];
      const isEdited = (): boolean => owned.config() !== config;
      const started = await this.#start(supervisor, signal);
      const { next, ready } = started;
      // `ready.backends` lacks backends that were removed from the file: they need not serve in the
      // successor.
      const missing = owned
        .mustServe()
        .filter((name) => name in ready.backends && !SERVES.has(ready.backends[name] ?? ""));
      if (missing.length > 0) {
        await next.kill();
        // The successor may have read the file before the edit.
        if (isEdited() && tries < TRIES) continue;
        throw refused(`${missing.join(", ")} would not serve there as it does here`, serveHint(missing));
      }
      const unsaved = owned.unsavedBecause();
      const isCurrent = owned.changes() === changes;
      if (unsaved === null && isCurrent && (!isEdited() || tries === TRIES)) return started;
      await next.kill();
      if (unsaved !== null) throw refused(`the state cannot be saved for it: ${unsaved}`, null);
      if (tries === TRIES) throw refused("approvals and route overrides keep changing here", null);
    }
  }

  async #start(
    supervisor: ServiceSupervisor,
    signal: AbortSignal,
  ): Promise<{ next: Successor; ready: Ready }> {
    const { program, clock } = this.#options;
    const next = new Successor(program, supervisor, this.#isOver);
    this.#next = next;
    try {
      return { next, ready: await next.ready(clock, READY_MS, signal) };
    } catch (error) {
      await next.kill();
      throw error;
    }
  }

  async #cross(supervisor: ServiceSupervisor, first: Successor): Promise<void> {
    const { owned, logger } = this.#options;
    const [changes, config] = [owned.changes(), owned.config()];
    supervisor.pauseSignals();
    await owned.giveUp();
    let next: Successor | null = first;
    if (owned.changes() !== changes || owned.config() !== config) {
      // Commands that were still running have changed files since this successor read them.
      await first.kill();
      next = null;
    }
    let most = Number.POSITIVE_INFINITY;
    for (let tries = 1; !this.#stop.signal.aborted; tries++) {
      if (next !== null && (await this.#go(supervisor, next))) {
        if (await this.#lasts(next)) return;
        // After that, the service manager may start the next one.
        most = Math.min(most, tries + TRIES);
        logger.error("the new daemon ended just after it had taken over", { pid: next.pid, tries });
      } else if (next !== null) {
        logger.error("the new daemon ended before it had taken over", { pid: next.pid, tries });
      }
      if (tries >= most) break;
      next = await this.#again(supervisor, tries);
    }
    this.#lasting.resolve(null);
  }

  /** Lets the successor take over. False if it did not, so that another one must be started. */
  async #go(supervisor: ServiceSupervisor, next: Successor): Promise<boolean> {
    const { owned, clock, logger } = this.#options;
    supervisor.pauseSignals();
    const listener = owned.listener();
    owned.link(next);
    const message = { say: "go", door: listener?.address ?? null, ...owned.handed() } as const;
    this.#hasTaken = await next.go(message, listener?.handle, { clock, deadlineMs: TAKEN_MS });
    if (this.#hasTaken) {
      logger.info("handed over", { to: next.pid });
      this.#done.resolve(next);
      return true;
    }
    if (!next.wasStopped) await next.kill();
    else {
      logger.info("the new daemon was asked to stop", { pid: next.pid });
      this.#done.resolve(null);
    }
    return next.wasStopped;
  }

  /** Whether no other successor is needed: this one lasts, or the service ends. */
  async #lasts(next: Successor): Promise<boolean> {
    const hasEnded = await settlesWithin(this.#options.clock, LASTS_MS, next.gone);
    if (hasEnded && !next.wasStopped) {
      this.#hasTaken = false;
      return this.#stop.signal.aborted;
    }
    this.#lasting.resolve(hasEnded ? null : next);
    return true;
  }

  async #again(supervisor: ServiceSupervisor, tries: number): Promise<Successor | null> {
    const { clock, logger } = this.#options;
    const { signal } = this.#stop;
    // Until a successor runs, only this daemon can react to a stop.
    supervisor.resumeSignals();
    try {
      await clock.sleep(tries === 1 ? 0 : backoffMs(WAIT_MS, tries - 1), signal);
      return (await this.#start(supervisor, signal)).next;
    } catch (error) {
      if (!signal.aborted) logger.error("the next daemon does not start", { reason: errorText(error) });
      return null;
    }
  }
}

function serveHint(names: readonly string[]): string {
  return (
    `see why: ${shellCommand`mountaineer backends logs ${names[0] ?? "NAME"}`}; a server that cannot run twice at a time takes ` +
    'replace = "stop-first"'
  );
}

function notSupervised(): MountaineerError {
  return new MountaineerError(
    "handover_failed",
    "this monitor was not started by mountaineer up, so no service keeps it through a handover",
    {
      hint: "stop it (Ctrl-C in its terminal, or mountaineer down) and start it again: mountaineer up",
    },
  );
}
