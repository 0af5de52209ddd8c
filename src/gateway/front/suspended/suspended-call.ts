// One call that its client is asked something in, over all its rounds. Questions are gathered, told as the answer to the
// request that is open, and answered by the next one; until that comes, the call waits here.
import { errorText, MountaineerError } from "../../../runtime/errors.ts";
import type { Clock, Timer } from "../../../runtime/time/clock.ts";
import type { CallSignal } from "../../call-signal.ts";
import type { Question } from "../../client-port.ts";
import { errorReply, METHOD_NOT_FOUND, type Reply } from "../../json-rpc.ts";
import type { ModernCall } from "../modern/call.ts";
import type { ModernRequest } from "../modern/request.ts";
import type { CallOutlet } from "../session/outlet.ts";
import { unanswered } from "../session/questions.ts";
import {
  answerIn,
  type InputRequest,
  inputRequest,
  mayAskWithin,
  missingFor,
  missingReply,
  responsesIn,
} from "./input-requests.ts";

/** Questions that come within it of the first are told together, ms. */
export const GATHER_MS = 15;
/** How long a call waits for its client, ms: a person may be at the answer. */
export const SUSPENDED_MS = 600_000;
/** Another client that needs its server waits so long for a client that has not come back; once it has, longer. */
export const IDLE_MS = { first: 30_000, later: 120_000 };
/** Questions of one call that wait for an answer. */
const MOST_QUESTIONS = 64;
/** Of all of them together. */
const MOST_QUESTION_BYTES = 1024 * 1024;

interface OpenQuestion {
  readonly input: InputRequest;
  readonly bytes: number;
  answer(reply: Reply): void;
}

interface HoldParts {
  readonly clock: Clock;
  readonly call: ModernCall;
  /** Of who calls. */
  readonly principal: string;
  /** A state with which the client comes back to round `number`; null: it cannot. */
  readonly seal: (number: number) => string | null;
  /** The client has to come back. */
  readonly onSuspended: () => void;
  /** It keeps more bytes than before while its client is away. */
  readonly onGrown: () => void;
  /** Once: nothing of it is left. */
  readonly onOver: () => void;
}

export class SuspendedCall {
  readonly principal: string;
  readonly #parts: HoldParts;
  readonly #questions = new Map<string, OpenQuestion>();
  /** The client has been told what is asked, and has not come back yet. */
  isSuspended = false;
  #isOver = false;
  /** How often the client was told. */
  #number = 0;
  /** When it was told last, monotonic ms. */
  #toldMs = 0;
  #asked = 0;
  #questionBytes = 0;
  #earlyBytes = 0;
  /** What the call itself keeps. */
  #callBytes = 0;
  /** The call came to its end while its client was away. */
  endedEarly = false;
  #gathering: Timer | null = null;
  #patience: Timer | null = null;

  constructor(parts: HoldParts) {
    this.#parts = parts;
    this.principal = parts.principal;
    parts.call.work.signal.addEventListener("abort", this.#onAborted, { once: true });
  }

  get bytes(): number {
    return this.#callBytes + this.#questionBytes + this.#earlyBytes;
  }

  /** Nothing was heard of its client for so long that it may have left. */
  get isIdle(): boolean {
    const limitMs = this.#number > 1 ? IDLE_MS.later : IDLE_MS.first;
    return this.isSuspended && this.#parts.clock.monotonicMs() - this.#toldMs >= limitMs;
  }

  /** Questions without an answer. */
  get open(): number {
    return this.#questions.size;
  }

  /** Null: the call is over. */
  ask(...[method, params, signal]: Question): Promise<Reply | null> {
    if (this.#isOver) return Promise.resolve(null);
    if (signal.aborted) return refused("the question was withdrawn");
    const { call } = this.#parts;
    const within = call.work.method;
    const input = mayAskWithin(within) ? inputRequest(method, params) : null;
    if (input === null) {
      const message = `the client cannot be asked ${method} within ${within}`;
      return Promise.resolve(errorReply(METHOD_NOT_FOUND, message));
    }
    const bytes = bytesOf(input);
    if (this.#questions.size >= MOST_QUESTIONS || this.#questionBytes + bytes > MOST_QUESTION_BYTES) {
      return refused("too many questions wait for the client");
    }
    const missing = this.isSuspended ? null : missingFor(input, call.declared);
    if (missing === null) return this.#put(input, bytes, signal);
    this.#fail(missingReply(missing));
    return refused("the client does not support this");
  }

  /** The client is back, with its answers. False: it is not the round that waits, and nothing has changed. */
  goOn(request: ModernRequest, outlet: CallOutlet, number: number): boolean {
    if (!this.isSuspended || number !== this.#number) return false;
    this.isSuspended = false;
    this.#patience?.[Symbol.dispose]();
    const responses = responsesIn(request.params);
    for (const [key, { input }] of [...this.#questions]) {
      const answer = answerIn(responses, key, input);
      if (answer !== null) this.#answered(key, { result: answer });
    }
    this.#parts.call.attach(request, outlet);
    if (!this.#isOver && this.#questions.size > 0) this.#gather();
    return true;
  }

  /** The call came to an end while its client was away. */
  early(reply: Reply): void {
    this.endedEarly = true;
    const bytes = bytesOf(reply);
    this.#earlyBytes = Number.isFinite(bytes) ? bytes : 0;
    if (this.isSuspended) this.#parts.onGrown();
  }

  /** The client gets the call's last word. */
  settled(): void {
    this.#over("the call that this belongs to has ended");
  }

  /** The client has closed the connection of that outlet: where the call answers there, nobody wants it any more. */
  gone(outlet: CallOutlet): void {
    this.#parts.call.gone(outlet, new MountaineerError("aborted", "the client closed the connection"));
  }

  /** Gives the call up. */
  end(reason: string): void {
    this.#parts.call.abort(new MountaineerError("aborted", reason));
  }

  readonly #onAborted = (): void => this.#over(errorText(this.#parts.call.work.signal.reason));

  #put(input: InputRequest, bytes: number, signal: CallSignal): Promise<Reply> {
    const { promise, resolve } = Promise.withResolvers<Reply>();
    const key = `q${++this.#asked}`;
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
      if (!this.#isOver && this.#questions.size > 0) this.#tell();
    });
  }

  /** Tells the client all that is open. */
  #tell(): void {
    const { call, clock, seal, onSuspended } = this.#parts;
    const inputs = [...this.#questions].map(([key, { input }]) => [key, input] as const);
    for (const [, input] of inputs) {
      const missing = missingFor(input, call.declared);
      if (missing === null) continue;
      this.#fail(missingReply(missing));
      return;
    }
    const requestState = seal(this.#number + 1);
    if (requestState === null) {
      this.#refuseQuestions("the client's request is nested too deep to be made again");
      return;
    }
    const inputRequests = Object.fromEntries(inputs);
    if (!call.detach({ result: { resultType: "input_required", inputRequests, requestState } })) {
      this.end("no client waits for this call");
      return;
    }
    if (this.#number === 0) this.#callBytes = bytesOf(call.work.params);
    this.#number += 1;
    this.#toldMs = clock.monotonicMs();
    this.isSuspended = true;
    const gone = "the client did not come back with its answers in time";
    this.#patience = clock.setTimer(SUSPENDED_MS, () => this.end(gone));
    onSuspended();
  }

  /** The call cannot go on, and the client is told why. */
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
    this.#patience?.[Symbol.dispose]();
    this.#parts.call.work.signal.removeEventListener("abort", this.#onAborted);
    this.#refuseQuestions(reason);
    this.#parts.onOver();
  }
}

function refused(why: string): Promise<Reply> {
  return Promise.resolve(unanswered(why));
}

/** Roughly: as many as its text has characters. What cannot be written is beyond every bound. */
function bytesOf(value: unknown): number {
  try {
    return JSON.stringify(value ?? null).length;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
