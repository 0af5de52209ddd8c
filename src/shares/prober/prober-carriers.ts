// The child processes of the prober: which one handles a question, and what happens to one whose threads hang.

import type { Logger } from "../../runtime/log/log.ts";
import { type Clock, settledWithin, type Timer } from "../../runtime/time/clock.ts";
import { type ProberChild, startProberChild } from "./prober-child-process.ts";
import type { ProberReply, QuestionKind, ScanQuestion } from "./prober-protocol.ts";
import type { ProberWaits } from "./prober-waits.ts";

/** A child answers, or reports what is late, much sooner; one that is silent for this long is stopped or lost. */
const SILENT_CHILD_MS = 8_000;

const RESTART_MS = { first: 100, atMost: 5_000 };

const ENDING_AT_MOST_MS = 1_000;

/** After this long without a question the process is ended: it takes 54 MB. */
const IDLE_MS = 60_000;

/** An open question, whichever child has it. */
export interface Pending {
  readonly sequence: number;
  /** A name server may take half a minute, which says nothing about the child. */
  readonly mayTakeLong: boolean;
  carrier: Carrier | null;
  /** It hangs in a retired child, and only that child can still answer it. */
  late: boolean;
  /** Adds the question to the next message. */
  write(request: RequestBuilder, nowMs: number): void;
  /** The child in which it hung has ended without an answer, or is given up. */
  lost(reason: string): void;
  /** Whether somebody still wants a late answer. */
  readonly keptWhenLate: boolean;
}

export interface Carrier {
  readonly child: ProberChild;
  readonly carried: Set<Pending>;
  heardAtMs: number;
  retired: boolean;
  /** Set while answers are outstanding. */
  silenceTimer: Timer | null;
}

interface RequestBuilder {
  readonly questions: { [Kind in QuestionKind]?: (readonly [number, string])[] };
  readonly scans: ScanQuestion[];
}

interface ProberCarriersOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly lookDeadlineMs: number;
  readonly waits: ProberWaits;
  readonly takeAnswers: (carrier: Carrier, reply: ProberReply) => void;
}

export class ProberCarriers implements AsyncDisposable {
  readonly #options: ProberCarriersOptions;
  readonly #carriers = new Set<Carrier>();
  #toSend: Pending[] = [];
  #sendPlanned = false;
  #current: Carrier | null = null;
  #disposed = false;
  /** How often in a row a child has ended without answering anything. */
  #restarts = 0;
  #restartTimer: Timer | null = null;
  #idleTimer: Timer | null = null;

  constructor(options: ProberCarriersOptions) {
    this.#options = options;
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  get pids(): readonly number[] {
    return [...this.#carriers].map(({ child }) => child.pid).filter((pid) => pid > 0);
  }

  ask(pending: Pending): void {
    this.#toSend.push(pending);
    if (this.#restartTimer === null) this.#startCurrent();
    this.#planSend();
  }

  /** Forgets a question that nobody waits for. */
  drop(pending: Pending): void {
    const { carrier } = pending;
    pending.carrier = null;
    if (carrier === null) {
      this.#toSend = this.#toSend.filter((other) => other !== pending);
      return;
    }
    carrier.carried.delete(pending);
    this.#endIfDone(carrier);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    this.#restartTimer?.[Symbol.dispose]();
    this.#idleTimer?.[Symbol.dispose]();
    this.#current = null;
    const ending = Promise.all([...this.#carriers].map((carrier) => this.#end(carrier)));
    await settledWithin(this.#options.clock, ENDING_AT_MOST_MS, ending);
  }

  // -- children ---------------------------------------------------------------------------------------------

  #startCurrent(): void {
    if (this.#disposed || this.#current !== null) return;
    const carrier: Carrier = {
      child: startProberChild(this.#options.lookDeadlineMs, {
        onReply: (reply) => this.#onReply(carrier, reply),
        onEnd: (why) => this.#ended(carrier, why),
      }),
      carried: new Set(),
      heardAtMs: this.#options.clock.monotonicMs(),
      retired: false,
      silenceTimer: null,
    };
    this.#carriers.add(carrier);
    this.#current = carrier;
    this.#planSend();
  }

  /** Starts another child some time after one has ended, each time later, if there are questions. */
  #restartLater(why: string): void {
    const delayMs = Math.min(RESTART_MS.first * 2 ** this.#restarts, RESTART_MS.atMost);
    this.#restarts++;
    this.#options.logger.warn("prober ended", { why, restartInMs: delayMs });
    this.#restartTimer = this.#options.clock.setTimer(delayMs, () => {
      this.#restartTimer = null;
      if (this.#toSend.length > 0) this.#startCurrent();
    });
  }

  /** The child stays one of our processes until it has ended; one that is blocked in the kernel may take for ever. */
  async #end(carrier: Carrier): Promise<void> {
    carrier.silenceTimer?.[Symbol.dispose]();
    await carrier.child.kill();
    this.#carriers.delete(carrier);
  }

  #endIfDone(carrier: Carrier): void {
    if (carrier.retired && carrier.carried.size === 0) void this.#end(carrier);
  }

  /** The child keeps only what hangs in it; a new one gets the other questions. */
  #retire(carrier: Carrier): void {
    if (carrier.retired) return;
    carrier.retired = true;
    if (this.#current === carrier) this.#current = null;
    this.#askAgain(carrier, (pending) => !pending.late);
    carrier.silenceTimer?.[Symbol.dispose]();
    if (carrier.carried.size === 0) void this.#end(carrier);
    else carrier.child.send({ questions: {}, scans: [], retire: true });
    this.#startCurrent();
  }

  /** Another child takes its place after a pause, and gets all of its questions. */
  #replace(carrier: Carrier, why: string): void {
    carrier.retired = true;
    this.#current = null;
    this.#askAgain(carrier, () => true);
    this.#restartLater(why);
  }

  /** Ends the current child when it was asked nothing for a while. */
  #watchIdle(): void {
    this.#idleTimer?.[Symbol.dispose]();
    this.#idleTimer = this.#options.clock.setTimer(IDLE_MS, () => {
      const carrier = this.#current;
      if (carrier === null) return;
      // Questions of this very turn are sent at its end.
      if (carrier.carried.size > 0 || this.#toSend.length > 0) this.#watchIdle();
      else {
        this.#current = null;
        void this.#end(carrier);
      }
    });
  }

  #askAgain(carrier: Carrier, which: (pending: Pending) => boolean): void {
    for (const pending of [...carrier.carried]) {
      if (!which(pending)) continue;
      carrier.carried.delete(pending);
      pending.carrier = null;
      this.#toSend.push(pending);
    }
    this.#planSend();
  }

  #ended(carrier: Carrier, why: string): void {
    this.#carriers.delete(carrier);
    carrier.silenceTimer?.[Symbol.dispose]();
    if (this.#disposed) return;
    for (const pending of [...carrier.carried]) if (pending.late) pending.lost(why);
    if (!carrier.retired) this.#replace(carrier, why);
  }

  #watchSilence(carrier: Carrier): void {
    const { clock, logger } = this.#options;
    carrier.silenceTimer = clock.setTimer(SILENT_CHILD_MS, () => {
      carrier.silenceTimer = null;
      const owes = [...carrier.carried].some(({ mayTakeLong }) => !mayTakeLong);
      if (owes && clock.monotonicMs() - carrier.heardAtMs >= SILENT_CHILD_MS) {
        logger.warn("prober is silent", { pid: carrier.child.pid });
        void this.#end(carrier);
        this.#replace(carrier, "it said nothing for too long");
      } else if (carrier.carried.size > 0) {
        this.#watchSilence(carrier);
      }
    });
  }

  // -- messages ---------------------------------------------------------------------------------------------

  #planSend(): void {
    if (this.#sendPlanned || this.#disposed || this.#toSend.length === 0) return;
    this.#sendPlanned = true;
    setImmediate(() => this.#sendAll());
  }

  #sendAll(): void {
    this.#sendPlanned = false;
    this.#options.waits.closeTurn();
    const carrier = this.#current;
    if (carrier === null || this.#disposed) return;
    const nowMs = this.#options.clock.monotonicMs();
    const builder: RequestBuilder = { questions: {}, scans: [] };
    if (carrier.carried.size === 0) carrier.heardAtMs = nowMs;
    for (const pending of this.#toSend) {
      pending.carrier = carrier;
      carrier.carried.add(pending);
      pending.write(builder, nowMs);
    }
    this.#toSend = [];
    carrier.child.send({ ...builder, retire: false });
    this.#watchIdle();
    if (carrier.silenceTimer === null && carrier.carried.size > 0) this.#watchSilence(carrier);
  }

  #onReply(carrier: Carrier, reply: ProberReply): void {
    if (this.#disposed) return;
    carrier.heardAtMs = this.#options.clock.monotonicMs();
    this.#restarts = 0;
    this.#options.takeAnswers(carrier, reply);
    if (reply.late.length > 0) this.#takeLate(carrier, reply.late);
    this.#endIfDone(carrier);
  }

  #takeLate(carrier: Carrier, late: readonly number[]): void {
    const lateOnes = new Set(late);
    for (const pending of [...carrier.carried]) {
      if (!lateOnes.has(pending.sequence)) continue;
      if (pending.keptWhenLate) pending.late = true;
      else pending.lost("the prober did not answer in time");
    }
    this.#options.logger.warn("prober has late looks", { pid: carrier.child.pid, late: late.length });
    this.#retire(carrier);
  }
}
