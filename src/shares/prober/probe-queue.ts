// The prober's open probes and the child processes that run them. Equal probes run once. A child whose threads hang keeps
// only the probes that hang in it.
import type { RuntimeTools } from "../../runtime/log/runtime-tools.ts";
import { backoffMs } from "../../runtime/time/backoff.ts";
import { settlesWithin, type Timer } from "../../runtime/time/clock.ts";
import { type ProberChild, startProberChild } from "./prober-child-process.ts";
import type { AnswerOf, ProbeCall, ProbeKind, ProberReply, SubjectOf } from "./prober-protocol.ts";

/**
 * If a child with open probes sends nothing for this long, ms, it is treated as stopped or lost. It would answer, or
 * report a late check, much sooner.
 */
const SILENT_CHILD_MS = 8_000;
const RESTART_MS = { first: 100, most: 5_000 };
const ENDING_AT_MOST_MS = 1_000;
/** The process, which takes 54 MB, ends after this long without a probe, ms. */
const IDLE_MS = 60_000;

/**
 * Each probe of these kinds is sent separately. An equal probe in progress may have begun before the change that the
 * caller wants to see.
 */
const NEVER_JOINED: readonly ProbeKind[] = ["checkFile", "fileBytes", "resolvePaths", "openFiles"];

export interface ProbeJob<Kind extends ProbeKind = ProbeKind> {
  readonly id: number;
  readonly kind: Kind;
  /** Two probes with the same key are equal. */
  readonly key: string;
  /** Returns what is asked; called when the probe is sent. */
  readonly subject: () => unknown;
  /** Called when the probe is answered, or lost with its child. */
  readonly onAnswer: () => void;
  readonly waiters: Set<() => void>;
  worker: Worker | null;
  /** The probe hangs in a retired child, and only that child can still answer it. */
  late: boolean;
  /** Monotonic ms. */
  startedAtMs: number;
  /** The probe is answered, lost or dropped. */
  isOver: boolean;
  /** undefined: no answer yet, or lost. */
  answer: unknown;
}

/** A child process and the probes that it works on. */
interface Worker {
  readonly child: ProberChild;
  readonly assigned: Set<ProbeJob>;
  heardAtMs: number;
  /** The child finishes its late probes and gets no new ones. */
  retired: boolean;
  /** Set while answers are outstanding, else null. */
  silenceTimer: Timer | null;
}

interface ProbeQueueOptions extends RuntimeTools {
  readonly checkDeadlineMs: number;
}

export class ProbeQueue implements AsyncDisposable {
  readonly #options: ProbeQueueOptions;
  readonly #jobs = new Map<string, ProbeJob>();
  readonly #workers = new Set<Worker>();

  #toSend: ProbeJob[] = [];
  #sendPlanned = false;
  #current: Worker | null = null;
  #disposed = false;
  #ids = 0;
  /** Number of children in a row that ended without an answer. */
  #restarts = 0;
  #restartTimer: Timer | null = null;
  #idleTimer: Timer | null = null;

  constructor(options: ProbeQueueOptions) {
    this.#options = options;
  }

  get pids(): readonly number[] {
    return [...this.#workers].map(({ child }) => child.pid).filter((pid) => pid > 0);
  }

  /** The open probe of this kind with the same `about`; undefined: none. */
  find<Kind extends ProbeKind>(kind: Kind, about: string): ProbeJob<Kind> | undefined {
    // The key begins with `kind`, so the probe is of that kind.
    return this.#jobs.get(`${kind} ${about}`) as ProbeJob<Kind> | undefined;
  }

  /** Starts a process before the first probe. */
  start(): void {
    this.#startCurrent();
    this.#watchIdle();
  }

  /** Starts a probe, or joins the open probe with the same `about`. After disposal, a new probe ends at once. */
  probe<Kind extends ProbeKind>(
    kind: Kind,
    about: string,
    subject: () => SubjectOf<Kind>,
    onAnswer: (answer: AnswerOf<Kind> | undefined) => void = () => {},
  ): ProbeJob<Kind> {
    const known = this.find(kind, about);
    if (known !== undefined && (known.late || known.worker === null || !NEVER_JOINED.includes(kind)))
      return known;
    const job: ProbeJob<Kind> = {
      id: ++this.#ids,
      kind,
      key: `${kind} ${about}`,
      subject,
      onAnswer: () => onAnswer(answerIn(job)),
      waiters: new Set(),
      worker: null,
      late: false,
      startedAtMs: this.#options.clock.monotonicMs(),
      isOver: this.#disposed,
      answer: undefined,
    };
    if (this.#disposed) return job;
    this.#jobs.set(job.key, job);
    this.#toSend.push(job);
    if (this.#restartTimer === null) this.#startCurrent();
    this.#planSend();
    return job;
  }

  /** Returns the answer; null if none has come within `waitMs`. */
  async answerTo<Kind extends ProbeKind>(
    kind: Kind,
    subject: SubjectOf<Kind>,
    waitMs: number,
  ): Promise<AnswerOf<Kind> | null> {
    const job = this.probe(kind, JSON.stringify(subject), () => subject);
    await this.wait(job, waitMs);
    return answerIn(job) ?? null;
  }

  /** Resolves when the probe is over or disposed, or after `waitMs`; at once if it is late. `answerIn` has the answer. */
  wait({ waiters, isOver, late }: ProbeJob, waitMs: number): Promise<void> {
    if (isOver || late) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        timer[Symbol.dispose]();
        waiters.delete(done);
        resolve();
      };
      waiters.add(done);
      // If this process was suspended, timers run before answers are read, so the time-out waits until waiting answers
      // are read.
      const timer = this.#options.clock.setTimer(waitMs, () => void setImmediate(done));
    });
  }

  /** Gives a probe up: its answer is no longer wanted. */
  drop(job: ProbeJob): void {
    const { worker } = job;
    this.#toSend = this.#toSend.filter((other) => other !== job);
    this.#over(job);
    if (worker !== null) this.#endIfDone(worker);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    this.#restartTimer?.[Symbol.dispose]();
    this.#idleTimer?.[Symbol.dispose]();
    this.#current = null;
    const open = [...this.#toSend, ...[...this.#workers].flatMap(({ assigned }) => [...assigned])];
    const ending = Promise.all([...this.#workers].map((worker) => this.#end(worker)));
    for (const { waiters } of open) for (const done of [...waiters]) done();
    await settlesWithin(this.#options.clock, ENDING_AT_MOST_MS, ending);
  }

  #complete(job: ProbeJob, answer: unknown): void {
    job.answer = answer;
    job.onAnswer();
    this.#over(job);
  }

  #over(job: ProbeJob): void {
    if (this.#jobs.get(job.key) === job) this.#jobs.delete(job.key);
    job.worker?.assigned.delete(job);
    job.worker = null;
    job.isOver = true;
    for (const done of [...job.waiters]) done();
  }

  #startCurrent(): void {
    if (this.#disposed || this.#current !== null) return;
    const worker: Worker = {
      child: startProberChild(this.#options.checkDeadlineMs, {
        onReply: (reply) => this.#onReply(worker, reply),
        onEnd: (why) => this.#ended(worker, why),
      }),
      assigned: new Set(),
      heardAtMs: this.#options.clock.monotonicMs(),
      retired: false,
      silenceTimer: null,
    };
    this.#workers.add(worker);
    this.#current = worker;
    this.#planSend();
  }

  /**
   * Kills a child. It stays in `pids` until it has ended, which may never happen if it is blocked in the
   * kernel.
   */
  async #end(worker: Worker): Promise<void> {
    worker.silenceTimer?.[Symbol.dispose]();
    await worker.child.kill();
    this.#workers.delete(worker);
  }

  #endIfDone(worker: Worker): void {
    if (worker.retired && worker.assigned.size === 0) void this.#end(worker);
  }

  /**
   * Replaces a child process whose threads hang. The old child keeps only its late probes; a new child gets all
   * others.
   */
  #retire(worker: Worker): void {
    if (worker.retired) return;
    worker.retired = true;
    if (this.#current === worker) this.#current = null;
    this.#resend(worker, (job) => !job.late);
    worker.silenceTimer?.[Symbol.dispose]();
    if (worker.assigned.size > 0) worker.child.send({ calls: [], retire: true });
    else void this.#end(worker);
    this.#startCurrent();
  }

  /** Starts another child for all probes of a child that has ended, after a pause that grows with each failure. */
  #replace(worker: Worker, why: string): void {
    worker.retired = true;
    this.#current = null;
    this.#resend(worker, () => true);
    const restartInMs = backoffMs(RESTART_MS, ++this.#restarts);
    this.#options.logger.warn("prober ended", { why, restartInMs });
    this.#restartTimer = this.#options.clock.setTimer(restartInMs, () => {
      this.#restartTimer = null;
      if (this.#toSend.length > 0) this.#startCurrent();
    });
  }

  /** Ends the current child after IDLE_MS without a probe. */
  #watchIdle(): void {
    this.#idleTimer?.[Symbol.dispose]();
    this.#idleTimer = this.#options.clock.setTimer(IDLE_MS, () => {
      const worker = this.#current;
      if (worker === null) return;
      // Probes that are asked in one turn of the event loop are sent together at the end of that turn.
      if (worker.assigned.size > 0 || this.#toSend.length > 0) this.#watchIdle();
      else {
        this.#current = null;
        void this.#end(worker);
      }
    });
  }

  #resend(worker: Worker, which: (job: ProbeJob) => boolean): void {
    for (const job of [...worker.assigned].filter(which)) {
      worker.assigned.delete(job);
      job.worker = null;
      this.#toSend.push(job);
    }
    this.#planSend();
  }

  #ended(worker: Worker, why: string): void {
    this.#workers.delete(worker);
    worker.silenceTimer?.[Symbol.dispose]();
    if (this.#disposed) return;
    for (const job of [...worker.assigned]) if (job.late) this.#complete(job, undefined);
    if (!worker.retired) this.#replace(worker, why);
  }

  #watchSilence(worker: Worker): void {
    const { clock, logger } = this.#options;
    worker.silenceTimer = clock.setTimer(SILENT_CHILD_MS, () => {
      worker.silenceTimer = null;
      // Probes about addresses do not count as overdue: a name server may take half a minute.
      const isDue = [...worker.assigned].some(({ kind }) => kind !== "addresses");
      if (isDue && clock.monotonicMs() - worker.heardAtMs >= SILENT_CHILD_MS) {
        logger.warn("prober is silent", { pid: worker.child.pid });
        void this.#end(worker);
        this.#replace(worker, "it said nothing for too long");
      } else if (worker.assigned.size > 0) {
        this.#watchSilence(worker);
      }
    });
  }

  #planSend(): void {
    if (this.#sendPlanned || this.#disposed || this.#toSend.length === 0) return;
    this.#sendPlanned = true;
    setImmediate(() => this.#sendAll());
  }

  #sendAll(): void {
    this.#sendPlanned = false;
    const worker = this.#current;
    if (worker === null || this.#disposed) return;
    const nowMs = this.#options.clock.monotonicMs();
    if (worker.assigned.size === 0) worker.heardAtMs = nowMs;
    const calls = this.#toSend.splice(0).map((job) => {
      job.worker = worker;
      job.startedAtMs = nowMs;
      worker.assigned.add(job);
      // `probe` takes only subjects that fit the kind, so the type is right.
      return { id: job.id, kind: job.kind, subject: job.subject() } as ProbeCall;
    });
    worker.child.send({ calls, retire: false });
    this.#watchIdle();
    if (worker.silenceTimer === null && worker.assigned.size > 0) this.#watchSilence(worker);
  }

  #onReply(worker: Worker, { answers, late }: ProberReply): void {
    if (this.#disposed) return;
    worker.heardAtMs = this.#options.clock.monotonicMs();
    this.#restarts = 0;
    // Takes answers only to probes that this child still has. The others have moved to another child, which
    // answers them.
    const assigned = new Map([...worker.assigned].map((job) => [job.id, job]));
    for (const [id, answer] of answers) {
      const job = assigned.get(id);
      if (job !== undefined) this.#complete(job, answer);
    }
    if (late.length > 0) this.#takeLate(worker, new Set(late));
    this.#endIfDone(worker);
  }

  #takeLate(worker: Worker, late: ReadonlySet<number>): void {
    for (const job of [...worker.assigned].filter(({ id }) => late.has(id))) {
      // A late answer about open files is of no use.
      if (job.kind === "openFiles") this.#complete(job, undefined);
      else job.late = true;
    }
    this.#options.logger.warn("prober has late checks", { pid: worker.child.pid, late: late.size });
    this.#retire(worker);
  }
}

/** The answer of a probe; undefined: none yet, or lost with its child. */
export function answerIn<Kind extends ProbeKind>({ answer }: ProbeJob<Kind>): AnswerOf<Kind> | undefined {
  // The answer is not checked, because the child is Mountaineer's own program in the same version.
  return answer as AnswerOf<Kind> | undefined;
}
