// What the prober is asked, and the child processes that carry it: equal questions are one, all of a turn are one message, and
// a child whose threads hang keeps only what hangs in it.
import type { Logger } from "../../runtime/log/log.ts";
import { backoffMs } from "../../runtime/time/backoff.ts";
import { type Clock, settledWithin, type Timer } from "../../runtime/time/clock.ts";
import { type ProberChild, startProberChild } from "./prober-child-process.ts";
import type { AnswerOf, Ask, ProberReply, QuestionKind, SubjectOf } from "./prober-protocol.ts";

/** A child answers, or reports what is late, much sooner; one that is silent for this long is stopped or lost. */
const SILENT_CHILD_MS = 8_000;
const RESTART_MS = { first: 100, most: 5_000 };
const ENDING_AT_MOST_MS = 1_000;
/** After this long without a question the process is ended: it takes 54 MB. */
const IDLE_MS = 60_000;

/** What a file holds, where a link leads, or who has files open is asked for after a change: an earlier answer will not do. */
const OF_THE_MOMENT: readonly QuestionKind[] = ["fileLook", "fileBytes", "places", "openFiles"];

/** Something asked, whichever child carries it. */
export interface Question {
  readonly id: number;
  readonly kind: QuestionKind;
  /** What makes two questions one. */
  readonly key: string;
  /** Worked out when it is sent. */
  readonly subject: () => unknown;
  /** Called when it has its answer, or is lost. */
  readonly onAnswer: () => void;
  readonly waiters: Set<() => void>;
  carrier: Carrier | null;
  /** It hangs in a retired child, and only that child can still answer it. */
  late: boolean;
  /** Monotonic. */
  startedAtMs: number;
  /** It is answered, lost or dropped. */
  isOver: boolean;
  /** undefined: not yet, or lost. */
  answer: unknown;
}

interface Carrier {
  readonly child: ProberChild;
  readonly carried: Set<Question>;
  heardAtMs: number;
  retired: boolean;
  /** Set while answers are outstanding. */
  silenceTimer: Timer | null;
}

interface ProberQuestionsOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly lookDeadlineMs: number;
}

export class ProberQuestions implements AsyncDisposable {
  readonly #options: ProberQuestionsOptions;
  readonly #asked = new Map<string, Question>();
  readonly #carriers = new Set<Carrier>();
  readonly #waiting = new Set<() => void>();
  #toSend: Question[] = [];
  #sendPlanned = false;
  #current: Carrier | null = null;
  #disposed = false;
  #ids = 0;
  /** How often in a row a child has ended without answering anything. */
  #restarts = 0;
  #restartTimer: Timer | null = null;
  #idleTimer: Timer | null = null;

  constructor(options: ProberQuestionsOptions) {
    this.#options = options;
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  get pids(): readonly number[] {
    return [...this.#carriers].map(({ child }) => child.pid).filter((pid) => pid > 0);
  }

  /** What is asked and has no answer yet. */
  find(kind: QuestionKind, about: string): Question | undefined {
    return this.#asked.get(`${kind} ${about}`);
  }

  /** Starts a process before the first question. */
  start(): void {
    this.#startCurrent();
    this.#watchIdle();
  }

  /** `about` is what makes two questions one: it joins that question if it is already asked. Not to be called once disposed. */
  ask<Kind extends QuestionKind>(
    kind: Kind,
    about: string,
    subject: () => SubjectOf<Kind>,
    onAnswer: (answer: AnswerOf<Kind> | undefined) => void = () => {},
  ): Question {
    const known = this.find(kind, about);
    if (known !== undefined && (known.late || known.carrier === null || !OF_THE_MOMENT.includes(kind)))
      return known;
    const question: Question = {
      id: ++this.#ids,
      kind,
      key: `${kind} ${about}`,
      subject,
      onAnswer: () => onAnswer(answerIn<Kind>(question)),
      waiters: new Set(),
      carrier: null,
      late: false,
      startedAtMs: this.#options.clock.monotonicMs(),
      isOver: false,
      answer: undefined,
    };
    this.#asked.set(question.key, question);
    this.#toSend.push(question);
    if (this.#restartTimer === null) this.#startCurrent();
    this.#planSend();
    return question;
  }

  /** Its answer within `waitMs`; undefined: there is none, or it is late already. */
  async answerTo<Kind extends QuestionKind>(
    kind: Kind,
    subject: SubjectOf<Kind>,
    waitMs: number,
  ): Promise<AnswerOf<Kind> | undefined> {
    if (this.#disposed) return undefined;
    const question = this.ask(kind, JSON.stringify(subject), () => subject);
    if (!question.late) await this.wait(question, waitMs);
    return answerIn<Kind>(question);
  }

  /** Resolves when it is over, after `waitMs`, or when all is ended. */
  wait({ waiters }: Question, waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        timer[Symbol.dispose]();
        waiters.delete(done);
        this.#waiting.delete(done);
        resolve();
      };
      waiters.add(done);
      this.#waiting.add(done);
      // In a process that was held up, answers may wait to be read; timers come before them.
      const timer = this.#options.clock.setTimer(waitMs, () => void setImmediate(done));
    });
  }

  /** Nobody is to hear of it any more. */
  drop(question: Question): void {
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
    const ending = Promise.all([...this.#carriers].map((carrier) => this.#end(carrier)));
    for (const done of [...this.#waiting]) done();
    await settledWithin(this.#options.clock, ENDING_AT_MOST_MS, ending);
  }

  #settle(question: Question, answer: unknown): void {
    question.answer = answer;
    question.onAnswer();
    this.#over(question);
  }

  #over(question: Question): void {
    if (this.#asked.get(question.key) === question) this.#asked.delete(question.key);
    question.carrier?.carried.delete(question);
    question.carrier = null;
    question.isOver = true;
    for (const done of [...question.waiters]) done();
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
    this.#askAgain(carrier, (question) => !question.late);
    carrier.silenceTimer?.[Symbol.dispose]();
    if (carrier.carried.size > 0) carrier.child.send({ asks: [], retire: true });
    else void this.#end(carrier);
    this.#startCurrent();
  }

  /** Another one takes its place, and is asked all of it, after a pause that grows. */
  #replace(carrier: Carrier, why: string): void {
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

  #askAgain(carrier: Carrier, which: (question: Question) => boolean): void {
    for (const question of [...carrier.carried].filter(which)) {
      carrier.carried.delete(question);
      question.carrier = null;
      this.#toSend.push(question);
    }
    this.#planSend();
  }

  #ended(carrier: Carrier, why: string): void {
    this.#carriers.delete(carrier);
    carrier.silenceTimer?.[Symbol.dispose]();
    if (this.#disposed) return;
    for (const question of [...carrier.carried]) if (question.late) this.#settle(question, undefined);
    if (!carrier.retired) this.#replace(carrier, why);
  }

  #watchSilence(carrier: Carrier): void {
    const { clock, logger } = this.#options;
    carrier.silenceTimer = clock.setTimer(SILENT_CHILD_MS, () => {
      carrier.silenceTimer = null;
      // A name server may take half a minute; that says nothing about the child.
      const owes = [...carrier.carried].some(({ kind }) => kind !== "addresses");
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
    const carrier = this.#current;
    if (carrier === null || this.#disposed) return;
    const nowMs = this.#options.clock.monotonicMs();
    if (carrier.carried.size === 0) carrier.heardAtMs = nowMs;
    const asks = this.#toSend.splice(0).map((question) => {
      question.carrier = carrier;
      question.startedAtMs = nowMs;
      carrier.carried.add(question);
      // The subject is of its kind, as `ask` has it.
      return { id: question.id, kind: question.kind, subject: question.subject() } as Ask;
    });
    carrier.child.send({ asks, retire: false });
    this.#watchIdle();
    if (carrier.silenceTimer === null && carrier.carried.size > 0) this.#watchSilence(carrier);
  }

  #onReply(carrier: Carrier, { answers, late }: ProberReply): void {
    if (this.#disposed) return;
    carrier.heardAtMs = this.#options.clock.monotonicMs();
    this.#restarts = 0;
    // One that was asked again elsewhere is answered there.
    const carried = new Map([...carrier.carried].map((question) => [question.id, question]));
    for (const [id, answer] of answers) {
      const question = carried.get(id);
      if (question !== undefined) this.#settle(question, answer);
    }
    if (late.length > 0) this.#takeLate(carrier, new Set(late));
    this.#endIfDone(carrier);
  }

  #takeLate(carrier: Carrier, late: ReadonlySet<number>): void {
    for (const question of [...carrier.carried].filter(({ id }) => late.has(id))) {
      // Nobody waits for open files that are late.
      if (question.kind === "openFiles") this.#settle(question, undefined);
      else question.late = true;
    }
    this.#options.logger.warn("prober has late looks", { pid: carrier.child.pid, late: late.size });
    this.#retire(carrier);
  }
}

/** The answer to a question of that kind. */
export function answerIn<Kind extends QuestionKind>({ answer }: Question): AnswerOf<Kind> | undefined {
  // Our own program, the same version, answers in the question's kind.
  return answer as AnswerOf<Kind> | undefined;
}
