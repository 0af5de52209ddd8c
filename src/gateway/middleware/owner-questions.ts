// The questions that wait for the owner of this home: each is about exactly one call, and one answer runs one call. In memory, and
// handed to the next daemon.
import { ofLargest } from "../../runtime/bounded-map.ts";
import { newCode, plainCode } from "../../runtime/text/typed-code.ts";
import { type Clock, resultWithin } from "../../runtime/time/clock.ts";
import type { CallSignal } from "../call-signal.ts";
import type { GatewayTransition } from "../gateway-transitions.ts";
import type { ConsentOutcome } from "./middleware.ts";

/** How long a question without a waiting call stands, and how long an answer counts. */
const STANDS_MS = 10 * 60_000;
const PROGRESS_MS = 10_000;
const CODE_LENGTH = 6;
const MOST_OF_USER = 8;
const MOST_QUESTIONS = 64;
/** Equal calls that wait for one question; each may be large. */
const MOST_WAITING = 8;

/** The call as the owner sees it: bounded, without secrets and invisible characters. */
export interface CallInQuestion {
  /** A digest of all that the answer is for. */
  readonly key: string;
  /** Whose questions are counted together: a user, with all programs. */
  readonly countsFor: string;
  readonly tool: string;
  readonly server: string;
  /** The user and the program. */
  readonly by: string;
  /** All that decides the answer; each argument whole. */
  readonly lines: readonly string[];
}

export interface OwnerQuestion extends CallInQuestion {
  /** Only for the owner: a client never gets it. */
  code: string;
  /** Wall ms. */
  readonly openedMs: number;
  untilMs: number;
  /** The calls that wait, the newest last. */
  readonly waiting: Set<PromiseWithResolvers<ConsentOutcome>>;
}

interface GivenAnswer {
  readonly isAllowed: boolean;
  readonly untilMs: number;
}

interface Remaining {
  readonly remainingMs: number;
}

/** For another process, whose monotonic clock is another. */
export interface HandedQuestions {
  readonly questions: readonly (Omit<OwnerQuestion, "waiting" | "untilMs"> & Remaining)[];
  readonly answers: readonly (readonly [key: string, GivenAnswer & Remaining])[];
}

interface Wait {
  readonly signal: CallSignal;
  readonly limitMs: number;
  /** Called every ten seconds with how often it was called. */
  readonly onWaiting: (times: number) => void;
}

export class OwnerQuestions {
  readonly #clock: Clock;
  /** By key, the oldest first. */
  readonly #open = new Map<string, OwnerQuestion>();
  readonly #answers = new Map<string, GivenAnswer>();
  #isHandedOver = false;
  /** Called when a question opens, and when it is answered. */
  announce: (transition: GatewayTransition) => void = () => {};

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get list(): readonly OwnerQuestion[] {
    this.#expire();
    return [...this.#open.values()];
  }

  /** Waits for an answer to this call; an equal call joins the question that is open. Never rejects. */
  async answerTo(call: CallInQuestion, wait: Wait): Promise<ConsentOutcome> {
    this.#expire();
    // Answers are the next daemon's.
    if (this.#isHandedOver) return "open";
    if (wait.signal.aborted) return "cancel";
    const given = this.#answers.get(call.key);
    if (given?.isAllowed === true) this.#answers.delete(call.key);
    if (given !== undefined) return given.isAllowed ? "accept" : "denied";
    const question = this.#open.get(call.key) ?? this.#begin(call);
    if (question === null || question.waiting.size >= MOST_WAITING) return "busy";
    return this.#wait(question, wait);
  }

  /** null: no question has this code. */
  answer(typed: string, isAllowed: boolean) {
    this.#expire();
    const code = plainCode(typed);
    const question = [...this.#open.values()].find((one) => one.code === code);
    if (question === undefined || this.#isHandedOver) return null;
    const { key, waiting } = question;
    const newest = [...waiting].at(-1);
    // `run`: the newest call that waits; `stored`: for the next equal call.
    const effect = !isAllowed ? "denied" : newest === undefined ? "stored" : "run";
    if (effect !== "run") this.#answers.set(key, { isAllowed, untilMs: this.#inTenMinutes });
    if (effect === "denied") end(question, "denied");
    if (effect === "run" && newest !== undefined) {
      waiting.delete(newest);
      newest.resolve("accept");
    }
    if (waiting.size === 0) this.#open.delete(key);
    // Each of the other calls needs another answer.
    else question.code = this.#freshCode();
    this.#announce("question.answered", question);
    return { ...question, effect, answeredMs: this.#clock.wallMs() } as const;
  }

  /** Moves all to the next daemon. Waiting calls end; from now on each call is to be made again there. */
  handOver(): HandedQuestions {
    this.#expire();
    this.#isHandedOver = true;
    const nowMs = this.#clock.monotonicMs();
    const questions = [...this.#open.values()].map(({ waiting, untilMs, ...question }) => ({
      ...question,
      remainingMs: waiting.size > 0 ? STANDS_MS : untilMs - nowMs,
    }));
    const answers = [...this.#answers].map(
      ([key, given]) => [key, { ...given, remainingMs: given.untilMs - nowMs }] as const,
    );
    for (const question of this.#open.values()) end(question, "open");
    // If that daemon fails, the one after it gets the questions again. Not the answers: it may have used one.
    this.#answers.clear();
    return { questions, answers };
  }

  /** Takes what the daemon before this one has handed over. */
  follow({ questions, answers }: HandedQuestions): void {
    const nowMs = this.#clock.monotonicMs();
    for (const { remainingMs, ...question } of questions)
      this.#open.set(question.key, { ...question, untilMs: nowMs + remainingMs, waiting: new Set() });
    for (const [key, { isAllowed, remainingMs }] of answers)
      this.#answers.set(key, { isAllowed, untilMs: nowMs + remainingMs });
  }

  /** null: this user has too many questions. */
  #begin(call: CallInQuestion): OwnerQuestion | null {
    const all = [...this.#open.values()];
    if (all.filter(({ countsFor }) => countsFor === call.countsFor).length >= MOST_OF_USER) return null;
    const [oldest] = all.length < MOST_QUESTIONS ? [] : ofLargest(all, ({ countsFor }) => countsFor);
    if (oldest !== undefined) {
      end(oldest, "busy");
      this.#open.delete(oldest.key);
    }
    const times = { openedMs: this.#clock.wallMs(), untilMs: this.#inTenMinutes };
    const question = { ...call, ...times, code: this.#freshCode(), waiting: new Set<never>() };
    this.#open.set(call.key, question);
    this.#announce("question.asked", question);
    return question;
  }

  async #wait(question: OwnerQuestion, { signal, limitMs, onWaiting }: Wait): Promise<ConsentOutcome> {
    const { waiting } = question;
    const call = Promise.withResolvers<ConsentOutcome>();
    const leave = (): void => {
      if (waiting.delete(call)) call.resolve("cancel");
    };
    waiting.add(call);
    signal.addEventListener("abort", leave, { once: true });
    try {
      for (let times = 1, remainingMs = limitMs; remainingMs > 0; times++, remainingMs -= PROGRESS_MS) {
        const outcome = await resultWithin(this.#clock, Math.min(PROGRESS_MS, remainingMs), call.promise);
        if (outcome !== null) return outcome;
        if (remainingMs > PROGRESS_MS) onWaiting(times);
      }
      // An answer at the last moment counts, so that it is not lost.
      return waiting.delete(call) ? "open" : await call.promise;
    } finally {
      signal.removeEventListener("abort", leave);
      // The call may have waited for longer than a question stands.
      question.untilMs = this.#inTenMinutes;
    }
  }

  #announce(name: "question.asked" | "question.answered", { tool, server, by }: CallInQuestion): void {
    this.announce({ name, tool, backend: server, by });
  }

  #expire(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [key, { waiting, untilMs }] of this.#open)
      if (waiting.size === 0 && untilMs <= nowMs) this.#open.delete(key);
    for (const [key, { untilMs }] of this.#answers) if (untilMs <= nowMs) this.#answers.delete(key);
  }

  get #inTenMinutes(): number {
    return this.#clock.monotonicMs() + STANDS_MS;
  }

  #freshCode(): string {
    const taken = new Set([...this.#open.values()].map(({ code }) => code));
    let code = newCode(CODE_LENGTH);
    while (taken.has(code)) code = newCode(CODE_LENGTH);
    return code;
  }
}

function end({ waiting }: OwnerQuestion, outcome: ConsentOutcome): void {
  for (const call of waiting) call.resolve(outcome);
  waiting.clear();
}
