// One daemon hands over to the next: it starts it, and when that is ready gives up what one alone may have. Before that
// line whatever fails leaves the old one in charge; after it the next one is started until one has taken over.
import type { HandOverReport } from "../../api/contract.ts";
import type { StatesOfDaemon } from "../../gateway/front/holds/holds.ts";
import type { DoorHandle } from "../../gateway/serving/gateway-contract.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import type { ServiceKeeper } from "../../runtime/process/service-keeper.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { BegunSession } from "./handed-sessions.ts";
import type { DoorAddress } from "./link-messages.ts";
import { type Ready, refused, Successor, type SuccessorProgram } from "./successor.ts";

/** For its configuration, its backends' first attempts and their lists. */
const READY_MS = 60_000;
/** For the lock, the state and the sockets. */
const TAKEN_MS = 30_000;
const TRIES = 3;

/** What only one daemon at a time has. */
export interface Charge {
  /** By name, those that serve now and whose successor should. */
  readonly mustServe: () => readonly string[];
  /** Another one after each change of what a successor reads at its start alone. */
  readonly changes: () => number;
  /** Why the state on disk is an old one; null: it is not. */
  readonly unsavedBecause: () => string | null;
  /** Ends steps, saves everything, gives up the sockets and the home. Never rejects. */
  readonly giveUp: () => Promise<void>;
  /** Where the door is; the old one goes on to take whoever comes until the new one does. */
  readonly door: () => { readonly address: DoorAddress; readonly handle: DoorHandle } | null;
  /** Sessions that clients have begun since, as the successor was told. */
  readonly lateSessions: () => readonly BegunSession[];
  /** What signs the states that clients carry: they come to the successor with them. */
  readonly states: () => StatesOfDaemon;
  /** Requests of clients whose calls wait in the other one go to and fro from now on. */
  readonly link: (successor: Successor) => void;
}

interface HandoverOptions {
  readonly program: SuccessorProgram;
  /** Null: nobody would keep the successor. */
  readonly keeper: ServiceKeeper | null;
  readonly charge: Charge;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class Handover implements AsyncDisposable {
  readonly #options: HandoverOptions;
  readonly #done = Promise.withResolvers<Successor>();
  #next: Successor | null = null;
  #isUnderWay = false;
  #isOver = false;

  constructor(options: HandoverOptions) {
    this.#options = options;
    this.#done.promise.catch(() => {});
  }

  /** Resolves when another daemon is in charge; rejects when this one has given up and none has taken over. */
  get done(): Promise<Successor> {
    return this.#done.promise;
  }

  /** The newest one, while sessions that begin here are to be told to it. */
  get successor(): Successor | null {
    return this.#isOver ? this.#next : null;
  }

  /** Resolves when the line is crossed; rejects with `handover_failed`, and nothing has changed. */
  async begin(signal: AbortSignal): Promise<HandOverReport> {
    const { keeper, logger } = this.#options;
    if (keeper === null) throw notKept();
    if (this.#isUnderWay || this.#isOver) {
      throw new MountaineerError("handover_failed", "a handover is under way already", { retry: "later" });
    }
    this.#isUnderWay = true;
    try {
      const { next, ready } = await this.#startKnowing(keeper, signal);
      this.#isOver = true;
      logger.info("handing over", { to: next.pid, version: ready.version });
      // Whoever asked is answered first: the socket it asked on goes.
      setImmediate(() => void this.#cross(keeper, next));
      return { from: process.pid, to: next.pid ?? 0, version: ready.version };
    } finally {
      this.#isUnderWay = false;
    }
  }

  /** A successor that has not been told to go is ended: it would take over from a daemon that only stops. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isOver) await this.#next?.kill();
  }

  /** One that serves what is to be served, and knows what people said while it started. */
  async #startKnowing(
    keeper: ServiceKeeper,
    signal: AbortSignal,
  ): Promise<{ next: Successor; ready: Ready }> {
    const { charge } = this.#options;
    for (let tries = 1; ; tries++) {
      const changes = charge.changes();
      const started = await this.#start(keeper, signal);
      const { next, ready } = started;
      // What the file does not name any more is not missed.
      const missing = charge
        .mustServe()
        .filter((name) => name in ready.backends && ready.backends[name] !== "Ready");
      if (missing.length > 0) {
        await next.kill();
        throw refused(`${missing.join(", ")} would not serve there as it does here`, serveHint(missing));
      }
      const unsaved = charge.unsavedBecause();
      if (unsaved === null && charge.changes() === changes) return started;
      await next.kill();
      if (unsaved !== null) throw refused(`the state cannot be saved for it: ${unsaved}`, null);
      if (tries === TRIES) throw refused("approvals and held routes change here meanwhile", null);
    }
  }

  async #start(keeper: ServiceKeeper, signal: AbortSignal): Promise<{ next: Successor; ready: Ready }> {
    const { program, clock } = this.#options;
    const next = new Successor(program, keeper);
    this.#next = next;
    try {
      return { next, ready: await next.ready(clock, READY_MS, signal) };
    } catch (error) {
      await next.kill();
      throw error;
    }
  }

  async #cross(keeper: ServiceKeeper, first: Successor): Promise<void> {
    const { charge, clock, logger } = this.#options;
    keeper.stopHearing();
    await charge.giveUp();
    let next: Successor | null = first;
    for (let tries = 1; ; tries++) {
      const door = charge.door();
      const word = { say: "go", door: door?.address ?? null, states: charge.states() } as const;
      if (next !== null) charge.link(next);
      if (next !== null && (await next.go(word, door?.handle, { clock, deadlineMs: TAKEN_MS }))) {
        logger.info("handed over", { to: next.pid });
        this.#done.resolve(next);
        return;
      }
      await next?.kill();
      logger.error("the new daemon ended before it had taken over", { pid: next?.pid ?? null, tries });
      if (tries === TRIES) break;
      next = await this.#again(keeper);
      for (const session of charge.lateSessions()) void next?.keep(session);
    }
    this.#done.reject(refused(`${TRIES} ended before they had`, "its log says why; start it again"));
  }

  async #again(keeper: ServiceKeeper): Promise<Successor | null> {
    try {
      return (await this.#start(keeper, new AbortController().signal)).next;
    } catch (error) {
      this.#options.logger.error("the next daemon does not start", { reason: errorText(error) });
      return null;
    }
  }
}

function serveHint(names: readonly string[]): string {
  return (
    `see why: mountaineer backends logs ${names[0]}; a server that cannot run twice at a time takes ` +
    'replace = "stop-first"'
  );
}

function notKept(): MountaineerError {
  return new MountaineerError(
    "handover_failed",
    "this monitor was not started by mountaineer's service: nothing would hold its place when it hands over",
    {
      hint: "stop it (Ctrl-C in its terminal) and start it again, or have it run as a service: mountaineer install",
    },
  );
}
