// The open questions to the prober and the child processes that work on them. Equal questions are asked once, and a child
// whose threads hang keeps only the questions that hang in it.
import type { Logger } from "../../runtime/log/log.ts";
import { backoffMs } from "../../runtime/time/backoff.ts";
import { type Clock, settlesWithin, type Timer } from "../../runtime/time/clock.ts";
import { type ProberChild, startProberChild } from "./prober-child-process.ts";
import type { AnswerOf, Ask, ProbeKind, ProberReply, SubjectOf } from "./prober-protocol.ts";

/**
 * If a child with open questions sends nothing for this long, ms, it is treated as stopped or lost. It would answer, or
 * report a late check, much sooner.
 */
const SILENT_CHILD_MS = 8_000;
const RESTART_MS = { first: 100, most: 5_000 };
const ENDING_AT_MOST_MS = 1_000;
/** The process, which takes 54 MB, ends after this long without a question, ms. */
const IDLE_MS = 60_000;

/**
 * Each probe of these kinds is sent separately. An equal probe in progress may have begun before the change that the
 * caller wants to see.
 */
const NEVER_JOINED: readonly ProbeKind[] = ["fileLook", "fileBytes", "places", "openFiles"];

export interface ProbeJob<Kind extends ProbeKind = ProbeKind> {
  readonly id: number;
  readonly kind: Kind;
  /** Two questions with the same key are equal. */
  readonly key: string;
  /** Returns what is asked; called when the question is sent. */
  readonly subject: () => unknown;
  /** Called when the question is answered, or lost with its child. */
  readonly onAnswer: () => void;
  readonly waiters: Set<() => void>;
  carrier: Worker | null;
  /** The question hangs in a retired child, and only that child can still answer it. */
  late: boolean;
  /** Monotonic ms. */
  startedAtMs: number;
  /** The question is answered, lost or dropped. */
  isOver: boolean;
  /** undefined: no answer yet, or lost. */
  answer: unknown;
}

/** A child process and the questions that it works on. */
interface Worker {
  readonly child: ProberChild;
  readonly carried: Set<ProbeJob>;
  heardAtMs: number;
  /** The child finishes its late questions and gets no new ones. */
  retired: boolean;
  /** Set while answers are outstanding, else null. */
  silenceTimer: Timer | null;
}

interface ProberQuestionsOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly lookDeadlineMs: number;
}

export class ProbeQueue implements AsyncDisposable {
  readonly #options: ProberQuestionsOptions;
  readonly #asked = new Map<string, ProbeJob>();
  readonly #carriers = new Set<Worker>();

  #toSend: ProbeJob[] = [];
  #sendPlanned = false;
  #current: Worker | null = null;
  #disposed = false;
  #ids = 0;
  /** Number of children in a row that ended without an answer. */
  #restarts = 0;
  #restartTimer: Timer | null = null;
  #idleTimer: Timer | null = null;

  constructor(options: ProberQuestionsOptions) {
    this.#options = options;
  }

  get pids(): readonly number[] {
    return [...this.#carriers].map(({ child }) => child.pid).filter((pid) => pid > 0);
  }

  /** The open question of this kind with the same `about`; undefined: none. */
  find<Kind extends ProbeKind>(kind: Kind, about: string): ProbeJob<Kind> | undefined {
    // The key begins with `kind`, so the question is of that kind.
    return this.#asked.get(`${kind} ${about}`) as ProbeJob<Kind> | undefined;
  }

  /** Starts a process before the first question. */
  start(): void {
    this.#startCurrent();
    this.#watchIdle();
  }

  /** Asks a question, or joins the open question with the same `about`. After disposal, a new question ends at once. */
  ask<Kind extends ProbeKind>(
    kind: Kind,
    about: string,
    subject: () => SubjectOf<Kind>,
    onAnswer: (answer: AnswerOf<Kind> | undefined) => void = () => {},
  ): ProbeJob<Kind> {
    const known = this.find(kind, about);
    if (known !== undefined && (known.late || known.carrier === null || !NEVER_JOINED.includes(kind)))
      return known;
    const question: ProbeJob<Kind> = {
      id: ++this.#ids,
      kind,
      key: `${kind} ${about}`,
      subject,
      onAnswer: () => onAnswer(answerIn(question)),
      waiters: new Set(),
      carrier: null,
      late: false,
      startedAtMs: this.#options.clock.monotonicMs(),
      isOver: this.#disposed,
      answer: undefined,
    };
    if (this.#disposed) return question;
    this.#asked.set(question.key, question);
    this.#toSend.push(question);
    if (this.#restartTimer === null) this.#startCurrent();
    this.#planSend();
    return question;
  }

  /** Returns the answer; null if none has come within `waitMs`. */
  async answerTo<Kind extends ProbeKind>(
    kind: Kind,
    subject: SubjectOf<Kind>,
    waitMs: number,
  ): Promise<AnswerOf<Kind> | null> {
    const question = this.ask(kind, JSON.stringify(subject), () => subject);
    await this.wait(question, waitMs);
    return answerIn(question) ?? null;
  }

  /** Resolves at once if the question is over or late, else when it is over or disposed, or when `waitMs` has passed. */
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
  drop(question: ProbeJob): void {
    const { carrier } = question;
    this.#toSend = this.#toSend.filter((other) => other !== question);
    this.#over(question);
    if (carrier !== null) this.#endIfDone(carrier);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    this.#restartTimer?.[Symbol.dispose]();
    this.#idleTimer?.[Symbol.dispose]();
    this.#current = null;
    const open = [...this.#toSend, ...[...this.#carriers].flatMap(({ carried }) => [...carried])];
    const ending = Promise.all([...this.#carriers].map((carrier) => this.#end(carrier)));
    for (const { waiters } of open) for (const done of [...waiters]) done();
    await settlesWithin(this.#options.clock, ENDING_AT_MOST_MS, ending);
  }

  #settle(question: ProbeJob, answer: unknown): void {
    question.answer = answer;
    question.onAnswer();
    this.#over(question);
  }

  #over(question: ProbeJob): void {
    if (this.#asked.get(question.key) === question) this.#asked.delete(question.key);
    question.carrier?.carried.delete(question);
    question.carrier = null;
    question.isOver = true;
    for (const done of [...question.waiters]) done();
  }

  #startCurrent(): void {
    if (this.#disposed || this.#current !== null) return;
    const carrier: Worker = {
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

  /**
   * Kills a child. It stays in `pids` until it has ended, which may never happen if it is blocked in the
   * kernel.
   */
  async #end(carrier: Worker): Promise<void> {
    carrier.silenceTimer?.[Symbol.dispose]();
    await carrier.child.kill();
    this.#carriers.delete(carrier);
  }

  #endIfDone(carrier: Worker): void {
    if (carrier.retired && carrier.carried.size === 0) void this.#end(carrier);
  }

  /**
   * Replaces a child process whose threads hang. The old child keeps only its late questions; a new child gets all
   * others.
   */
  #retire(carrier: Worker): void {
    if (carrier.retired) return;
    carrier.retired = true;
    if (this.#current === carrier) this.#current = null;
    this.#askAgain(carrier, (question) => !question.late);
    carrier.silenceTimer?.[Symbol.dispose]();
    if (carrier.carried.size > 0) carrier.child.send({ asks: [], retire: true });
    else void this.#end(carrier);
    this.#startCurrent();
  }

  /** Starts another child for all questions of a child that has ended, after a pause that grows with each failure. */
  #replace(carrier: Worker, why: string): void {
    carrier.retired = true;
    this.#current = null;
    this.#askAgain(carrier, () => true);
    const restartInMs = backoffMs(RESTART_MS, ++this.#restarts);
    this.#options.logger.warn("prober ended", { why, restartInMs });
    this.#restartTimer = this.#options.clock.setTimer(restartInMs, () => {
      this.#restartTimer = null;
      if (this.#toSend.length > 0) this.#startCurrent();
    });
  }

  /** Ends the current child after IDLE_MS without a question. */
  #watchIdle(): void {
    this.#idleTimer?.[Symbol.dispose]();
    this.#idleTimer = this.#options.clock.setTimer(IDLE_MS, () => {
      const carrier = this.#current;
      if (carrier === null) return;
      // Questions that are asked in one turn of the event loop are sent together at the end of that turn.
      if (carrier.carried.size > 0 || this.#toSend.length > 0) this.#watchIdle();
      else {
        this.#current = null;
        void this.#end(carrier);
      }
    });
  }

  #askAgain(carrier: Worker, which: (question: ProbeJob) => boolean): void {
    for (const question of [...carrier.carried].filter(which)) {
      carrier.carried.delete(question);
      question.carrier = null;
      this.#toSend.push(question);
    }
    this.#planSend();
  }

  #ended(carrier: Worker, why: string): void {
    this.#carriers.delete(carrier);
    carrier.silenceTimer?.[Symbol.dispose]();
    if (this.#disposed) return;
    for (const question of [...carrier.carried]) if (question.late) this.#settle(question, undefined);
    if (!carrier.retired) this.#replace(carrier, why);
  }

  #watchSilence(carrier: Worker): void {
    const { clock, logger } = this.#options;
    carrier.silenceTimer = clock.setTimer(SILENT_CHILD_MS, () => {
      carrier.silenceTimer = null;
      // Questions about addresses do not count as overdue: a name server may take half a minute.
      const isDue = [...carrier.carried].some(({ kind }) => kind !== "addresses");
      if (isDue && clock.monotonicMs() - carrier.heardAtMs >= SILENT_CHILD_MS) {
        logger.warn("prober is silent", { pid: carrier.child.pid });
        void this.#end(carrier);
        this.#replace(carrier, "it said nothing for too long");
      } else if (carrier.carried.size > 0) {
        this.#watchSilence(carrier);
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
    const carrier = this.#current;
    if (carrier === null || this.#disposed) return;
    const nowMs = this.#options.clock.monotonicMs();
    if (carrier.carried.size === 0) carrier.heardAtMs = nowMs;
    const asks = this.#toSend.splice(0).map((question) => {
      question.carrier = carrier;
      question.startedAtMs = nowMs;
      carrier.carried.add(question);
      // `ask` takes only subjects that fit the kind, so the type is right.
      return { id: question.id, kind: question.kind, subject: question.subject() } as Ask;
    });
    carrier.child.send({ asks, retire: false });
    this.#watchIdle();
    if (carrier.silenceTimer === null && carrier.carried.size > 0) this.#watchSilence(carrier);
  }

  #onReply(carrier: Worker, { answers, late }: ProberReply): void {
    if (this.#disposed) return;
    carrier.heardAtMs = this.#options.clock.monotonicMs();
    this.#restarts = 0;
    // Takes answers only to questions that this child still has. The others have moved to another child, which
    // answers them.
    const carried = new Map([...carrier.carried].map((question) => [question.id, question]));
    for (const [id, answer] of answers) {
      const question = carried.get(id);
      if (question !== undefined) this.#settle(question, answer);
    }
    if (late.length > 0) this.#takeLate(carrier, new Set(late));
    this.#endIfDone(carrier);
  }

  #takeLate(carrier: Worker, late: ReadonlySet<number>): void {
    for (const question of [...carrier.carried].filter(({ id }) => late.has(id))) {
      // A late answer about open files is of no use.
      if (question.kind === "openFiles") this.#settle(question, undefined);
      else question.late = true;
    }
    this.#options.logger.warn("prober has late looks", { pid: carrier.child.pid, late: late.size });
    this.#retire(carrier);
  }
}

export function answerIn<Kind extends ProbeKind>({ answer }: ProbeJob<Kind>): AnswerOf<Kind> | undefined {
  // The answer is not checked, because the child is Mountaineer's own program in the same version.
  return answer as AnswerOf<Kind> | undefined;
}
