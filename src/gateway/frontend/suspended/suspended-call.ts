// A call of 2026-07-28 that asks its client for input, in one or more rounds. A round gathers the server's questions and
// sends them as the answer to the client's request; the call is suspended until the next request brings the answers.

import { errorText, MountaineerError } from "../../../runtime/errors.ts";
import { TEXT_BOUNDS } from "../../../runtime/text/bounds.ts";
import type { Clock, Timer } from "../../../runtime/time/clock.ts";
import type { CallSignal } from "../../call-signal.ts";
import { principalKey, type ServerRequest } from "../../client-handle.ts";
import { errorReply, jsonOf, METHOD_NOT_FOUND, type Reply } from "../../json-rpc.ts";
import type { ModernCall } from "../modern/call.ts";
import type { ModernRequest } from "../modern/request.ts";
import type { CallStream } from "../session/client-stream.ts";
import { unanswered } from "../session/pending-server-requests.ts";
import {
  answerIn,
  type InputRequest,
  inputRequest,
  mayRequestWithin,
  missingFor,
  missingReply,
  responsesIn,
} from "./input-requests.ts";

/** A round contains the questions that arrive within this time after its first question, ms. */
export const GATHER_MS = 15;
/** How long a call is suspended at most, ms: a person may have to answer. */
export const SUSPENDED_MS = 600_000;
/**
 * How long a suspended call may block a server for other clients, ms. The first round of questions has a shorter
 * limit than later rounds.
 */
export const IDLE_MS = { first: 30_000, later: 120_000 };
/** Limits for the open questions of one call: their number, and their bytes in total. */
const MOST_QUESTIONS = 64;

interface OpenQuestion {
  readonly input: InputRequest;
  readonly bytes: number;
  answer(reply: Reply): void;
}

interface SuspendParts {
  readonly clock: Clock;
  readonly call: ModernCall;
  /** Makes the `requestState` of a round; null: the request is nested too deep. */
  readonly seal: (round: number) => string | null;
  /** The questions of a round have been sent. */
  readonly onSuspended: () => void;
  /** `bytes` has grown while the call is suspended. */
  readonly onGrown: () => void;
  /** Called once, when the call has ended or was given up. */
  readonly onOver: () => void;
}

export class SuspendedCall {
  readonly principal: string;
  readonly #parts: SuspendParts;
  readonly #questions = new Map<string, OpenQuestion>();
  /** The client has been sent requests, and has not answered yet. */
  isSuspended = false;
  #isOver = false;
  #round = 0;
  /** When the last round was sent, monotonic ms. */
  #sentMs = 0;
  #requestCount = 0;
  #questionBytes = 0;
  #replyBytes = 0;
  #paramsBytes = 0;
  /** The call ended while its client was away. */
  endedEarly = false;
  #gathering: Timer | null = null;
  #deadline: Timer | null = null;

  constructor(parts: SuspendParts) {
    this.#parts = parts;
    this.principal = principalKey(parts.call.newest.principal);
    const { signal } = parts.call.work;
    signal.addEventListener("abort", () => this.#over(errorText(signal.reason)), { once: true });
  }

  get bytes(): number {
    return this.#paramsBytes + this.#questionBytes + this.#replyBytes;
  }

  /** The client has been away for so long that it may not return. */
  get isIdle(): boolean {
    const limitMs = this.#round > 1 ? IDLE_MS.later : IDLE_MS.first;
    return this.isSuspended && this.#parts.clock.monotonicMs() - this.#sentMs >= limitMs;
  }

  get openQuestions(): number {
    return this.#questions.size;
  }

  /** Resolves with null if the call has ended. */
  request(...[method, params, signal]: ServerRequest): Promise<Reply | null> {
    if (this.#isOver) return Promise.resolve(null);
    if (signal.aborted) return refused("the question was withdrawn");
    const { call } = this.#parts;
    const within = call.work.method;
    const input = mayRequestWithin(within) ? inputRequest(method, params) : null;
    if (input === null) {
      const message = `the client cannot be asked ${method} within ${within}`;
      return Promise.resolve(errorReply(METHOD_NOT_FOUND, message));
    }
    const bytes = bytesOf(input);
    if (this.#questions.size >= MOST_QUESTIONS || this.#questionBytes + bytes > TEXT_BOUNDS.question.most) {
      return refused("too many questions wait for the client");
    }
    const missing = this.isSuspended ? null : missingFor(input, call.declared);
    if (missing === null) return this.#put(input, bytes, signal);
    this.#fail(missingReply(missing));
    return refused("the client does not support this");
  }

  /**
   * Resumes the call with the client's answers to `round`. Returns false, and changes nothing, if that round is not
   * open.
   */
  goOn(request: ModernRequest, stream: CallStream, round: number): boolean {
    if (!this.isSuspended || round !== this.#round) return false;
    this.isSuspended = false;
    this.#deadline?.[Symbol.dispose]();
    const responses = responsesIn(request.params);
    for (const [key, { input }] of [...this.#questions]) {
      const answer = answerIn(responses, key, input);
      if (answer !== null) this.#answered(key, { result: answer });
    }
    this.#parts.call.attach(request, stream);
    if (this.#questions.size > 0) this.#gather();
    return true;
  }

  /** Called when the call gets its reply while its client is away; the reply is kept for the client. */
  early(reply: Reply): void {
    this.endedEarly = true;
    const bytes = bytesOf(reply);
    this.#replyBytes = Number.isFinite(bytes) ? bytes : 0;
    if (this.isSuspended) this.#parts.onGrown();
  }

  /** Called when the client gets the call's reply. */
  answered(): void {
    this.#over("the call that this belongs to has ended");
  }

  gone(stream: CallStream): void {
    this.#parts.call.gone(stream, new MountaineerError("aborted", "the client closed the connection"));
  }

  end(reason: string): void {
    this.#parts.call.abort(new MountaineerError("aborted", reason));
  }

  #put(input: InputRequest, bytes: number, signal: CallSignal): Promise<Reply> {
    const { promise, resolve } = Promise.withResolvers<Reply>();
    const key = `q${++this.#requestCount}`;
    const withdraw = (): void => this.#answered(key, unanswered(errorText(signal.reason)));
    signal.addEventListener("abort", withdraw, { once: true });
    this.#questions.set(key, {
      input,
      bytes,
      answer(reply) {
        signal.removeEventListener("abort", withdraw);
        resolve(reply);
      },
    });
    this.#questionBytes += bytes;
    if (this.isSuspended) this.#parts.onGrown();
    else this.#gather();
    return promise;
  }

  #answered(key: string, reply: Reply): void {
    const question = this.#questions.get(key);
    if (question === undefined) return;
    this.#questions.delete(key);
    this.#questionBytes -= question.bytes;
    question.answer(reply);
  }

  #gather(): void {
    this.#gathering ??= this.#parts.clock.setTimer(GATHER_MS, () => {
      this.#gathering = null;
      if (this.#questions.size > 0) this.#sendRound();
    });
  }

  #sendRound(): void {
    const { call, clock, seal, onSuspended } = this.#parts;
    const inputs = [...this.#questions].map(([key, { input }]) => [key, input] as const);
    const missing = inputs.map(([, input]) => missingFor(input, call.declared)).find((one) => one !== null);
    if (missing !== undefined) {
      this.#fail(missingReply(missing));
      return;
    }
    const requestState = seal(this.#round + 1);
    if (requestState === null) {
      this.#refuseQuestions("the client's request is nested too deep to be made again");
      return;
    }
    const inputRequests = Object.fromEntries(inputs);
    call.detach({ result: { resultType: "input_required", inputRequests, requestState } });
    if (this.#round === 0) this.#paramsBytes = bytesOf(call.work.params);
    this.#round += 1;
    this.#sentMs = clock.monotonicMs();
    this.isSuspended = true;
    const late = "the client did not return its answers in time";
    this.#deadline = clock.setTimer(SUSPENDED_MS, () => this.end(late));
    onSuspended();
  }

  #fail(reply: Reply): void {
    this.#parts.call.detach(reply);
    this.end("the client does not support what the call asks it");
  }

  #refuseQuestions(reason: string): void {
    for (const key of [...this.#questions.keys()]) this.#answered(key, unanswered(reason));
  }

  #over(reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.isSuspended = false;
    this.#gathering?.[Symbol.dispose]();
    this.#deadline?.[Symbol.dispose]();
    this.#refuseQuestions(reason);
    this.#parts.onOver();
  }
}

function refused(why: string): Promise<Reply> {
  return Promise.resolve(unanswered(why));
}

/** The length of the value as JSON; infinite if it is nested too deep to be written. */
function bytesOf(value: unknown): number {
  return jsonOf(value ?? null)?.length ?? Number.POSITIVE_INFINITY;
}
