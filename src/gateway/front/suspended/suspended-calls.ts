// The calls that wait for modern clients to come back with their answers, by whichever connection: how many there may
// be, and how the state that clients carry is read.
import { randomBytes } from "node:crypto";
import { sha256Of } from "../../../runtime/files/sha256.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import { principalKey, type Question } from "../../client-port.ts";
import {
  BACKEND_UNAVAILABLE,
  errorReply,
  INTERNAL_ERROR,
  INVALID_PARAMS,
  INVALID_REQUEST,
  isError,
  isJsonObject,
  isWritable,
  type JsonObject,
  type Reply,
  type RpcError,
} from "../../json-rpc.ts";
import { takesElicitation, URL_ELICITATION_REQUIRED } from "../../protocol.ts";
import { openSigned, signText } from "../../signed-text.ts";
import type { CallSuspension, ModernCall, Resumed, Stopping } from "../modern/call.ts";
import type { ModernRequest } from "../modern/request.ts";
import type { CallOutlet } from "../session/outlet.ts";
import { answerIn, mayAskWithin, missingReply, responsesIn } from "./input-requests.ts";
import { SUSPENDED_MS, SuspendedCall } from "./suspended-call.ts";

/** Bounds of the calls that wait for their clients: of one principal, of all together, and the bytes that all keep. */
export const MOST_OF_ONE = 64;
export const MOST_SUSPENDED = 512;
export const MOST_BYTES = 64 * 1024 * 1024;
/** How long a state is good that carries a backend's own: it costs no memory here, ms. */
export const STATE_MS = 3_600_000;

const NOT_ALLOWED = "its client may not make this call any more";
const goesOn: Stopping = () => null;

/** What a daemon gives the next one, so that this reads what its clients carry. */
export interface StateKey {
  readonly key: string;
  readonly generation: number;
}

/** Another daemon, which holds calls whose clients may come to this one. */
export interface OtherDaemon {
  /** Answers on `outlet`. Null: it is gone. */
  resume(request: ModernRequest, outlet: CallOutlet): { readonly gone: () => void } | null;
}

export class SuspendedCalls implements CallSuspension {
  readonly #clock: Clock;
  readonly #seal = new StateSeal();
  readonly #consents: Consents;
  readonly #byCall = new Map<ModernCall, SuspendedCall>();
  /** Those whose clients have been told something, by the id in their state; the one told last comes last. */
  readonly #byId = new Map<string, SuspendedCall>();
  /** How many daemons have handed over, each to the next, before this one. */
  #generation = 0;
  #older: OtherDaemon | null = null;
  #newer: OtherDaemon | null = null;
  #ended: string | null = null;
  #none: PromiseWithResolvers<void> | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#consents = new Consents(clock, STATE_MS);
  }

  /** With them the next daemon reads the states that are out. */
  get stateKey(): StateKey {
    return { key: this.#seal.key, generation: this.#generation };
  }

  /** Another daemon was in charge before: its states are read from now on, and its calls are passed to it. */
  follow({ key, generation }: StateKey, older: OtherDaemon): void {
    this.#seal.take(key);
    this.#generation = generation + 1;
    this.#older = older;
  }

  /** Another daemon is in charge from now on: a connection that stayed here may bring what belongs to it. */
  makeWay(newer: OtherDaemon): void {
    this.#newer = newer;
  }

  get openQuestions(): number {
    return [...this.#byCall.values()].reduce((sum, { open }) => sum + open, 0);
  }

  /** Calls whose clients are away. */
  get size(): number {
    return this.#suspended().length;
  }

  /** Resolves when no call waits, or is asked, any more. */
  none(): Promise<void> {
    if (this.#byCall.size === 0) return Promise.resolve();
    this.#none ??= Promise.withResolvers<void>();
    return this.#none.promise;
  }

  ask(call: ModernCall, ...question: Question): Promise<Reply | null> {
    if (this.#ended !== null) return Promise.resolve(errorReply(BACKEND_UNAVAILABLE, this.#ended));
    if (call.work.signal.aborted) return Promise.resolve(null);
    const suspended = this.#byCall.get(call) ?? this.#callOf(call);
    return suspended.ask(...question);
  }

  resume(request: ModernRequest, outlet: CallOutlet, stopping: Stopping = goesOn): Resumed {
    const { params } = request;
    const token = params["requestState"];
    if (token === undefined || !mayAskWithin(request.method))
      return { kind: "begins", params, isAgreed: false };
    const state = this.#open(request, token);
    if (state === null) {
      // Guesses count as calls.
      const stopped = stopping();
      return stopped === null ? refused() : { kind: "refused", reply: stopped.reply };
    }
    if (state.kind === "hold") return this.#goOn(request, outlet, state, stopping);
    // A state that comes again is a call of its own: its person is asked again.
    const isAgreed = this.#consents.use(state.consent);
    if (state.kind === "backend") {
      return { kind: "begins", params: withState(params, state.state), isAgreed, mark: state.mark };
    }
    const declined = declinedVisit(state.keys, request);
    return declined === null
      ? { kind: "begins", params: anew(params), isAgreed }
      : { kind: "refused", reply: declined };
  }

  outgoing(call: ModernCall, reply: Reply): Reply {
    const suspended = this.#byCall.get(call);
    suspended?.settled();
    // Its backend has gone, and the call with it: the client can only make it again.
    if (suspended?.endedEarly === true && isError(reply) && reply.error.code === BACKEND_UNAVAILABLE) {
      const message = `the call of this requestState has ended: ${reply.error.message}; make it again without it`;
      return errorReply(INVALID_PARAMS, message);
    }
    const { work, declared, isAgreed, newest } = call;
    const consent = (): string | null =>
      isAgreed ? this.#consents.give(principalKey(newest.principal)) : null;
    const { mark } = call.client;
    const seal = (state: State): string | null =>
      this.#sealed(newest, state.kind === "backend" ? { ...state, mark } : state, STATE_MS);
    return outgoingReply(reply, { work, declared, isAgreed, consent, seal });
  }

  isIdle(call: ModernCall): boolean {
    return this.#byCall.get(call)?.isIdle === true;
  }

  giveWay(call: ModernCall): void {
    this.#byCall.get(call)?.end("nothing was heard of its client, and another one waits for the same server");
  }

  early(call: ModernCall, reply: Reply): void {
    this.#byCall.get(call)?.early(reply);
  }

  end(reason: string): void {
    this.#ended ??= reason;
    for (const suspended of [...this.#byCall.values()]) suspended.end(reason);
  }

  #open(request: ModernRequest, token: unknown): State | null {
    const bound = boundOf(request);
    if (typeof token !== "string" || bound === null) return null;
    return this.#seal.open(token, bound, this.#clock.wallMs());
  }

  #sealed(request: ModernRequest, state: State, forMs: number): string | null {
    const bound = boundOf(request);
    return bound === null ? null : this.#seal.seal(state, bound, this.#clock.wallMs() + forMs);
  }

  #goOn(
    request: ModernRequest,
    outlet: CallOutlet,
    { call: id, round, generation }: Extract<State, { readonly kind: "hold" }>,
    stopping: Stopping,
  ): Resumed {
    const stopped = stopping();
    if (stopped !== null) {
      if (stopped.isOver && generation === this.#generation) this.#byId.get(id)?.end(NOT_ALLOWED);
      return { kind: "refused", reply: stopped.reply };
    }
    if (generation !== this.#generation) {
      const elsewhere = generation < this.#generation ? this.#older : this.#newer;
      const passed = elsewhere?.resume(request, outlet) ?? null;
      return passed === null ? refused() : { kind: "goes_on", gone: passed.gone };
    }
    const suspended = this.#byId.get(id);
    // A round that was answered already must not answer twice.
    const goesOn = suspended?.goOn(request, outlet, round) === true;
    return goesOn ? { kind: "goes_on", gone: () => suspended.gone(outlet) } : refused();
  }

  #callOf(call: ModernCall): SuspendedCall {
    let id: string | null = null;
    const suspended: SuspendedCall = new SuspendedCall({
      clock: this.#clock,
      call,
      principal: principalKey(call.newest.principal),
      seal: (round) => {
        id ??= randomBytes(18).toString("base64url");
        const state: State = { kind: "hold", call: id, round, generation: this.#generation };
        return this.#sealed(call.newest, state, SUSPENDED_MS);
      },
      onSuspended: () => {
        if (id === null) return;
        this.#byId.delete(id);
        this.#byId.set(id, suspended);
        this.#makeRoom(suspended);
      },
      onGrown: () => this.#makeRoom(suspended),
      onOver: () => {
        if (id !== null) this.#byId.delete(id);
        this.#byCall.delete(call);
        if (this.#byCall.size > 0) return;
        this.#none?.resolve();
        this.#none = null;
      },
    });
    this.#byCall.set(call, suspended);
    return suspended;
  }

  /** The oldest call of whoever has most gives way; where all together keep too many bytes, the largest call does. */
  #makeRoom({ principal }: SuspendedCall): void {
    const own = this.#suspended().filter((suspended) => suspended.principal === principal);
    for (const oldest of own.slice(0, Math.max(0, own.length - MOST_OF_ONE))) giveWay(oldest);
    for (let all = this.#suspended(); all.length > MOST_SUSPENDED; all = this.#suspended()) {
      const groups = [...Map.groupBy(all, (one) => one.principal).values()];
      const [oldest] = groups.reduce((a, b) => (b.length > a.length ? b : a));
      if (oldest !== undefined) giveWay(oldest);
    }
    for (let all = this.#suspended(); bytesOf(all) > MOST_BYTES; all = this.#suspended()) {
      giveWay(all.reduce((a, b) => (b.bytes > a.bytes ? b : a)));
    }
  }

  #suspended(): readonly SuspendedCall[] {
    return [...this.#byId.values()].filter(({ isSuspended }) => isSuspended);
  }
}

function bytesOf(suspended: readonly SuspendedCall[]): number {
  return suspended.reduce((sum, { bytes }) => sum + bytes, 0);
}

function giveWay(call: SuspendedCall): void {
  call.end("the call gave way to others that wait for their clients");
}

/** Null: its params are nested too deep. */
function boundOf({ principal, method, params }: ModernRequest): Bound | null {
  const digest = paramsDigest(params);
  return digest === null ? null : { principal: principalKey(principal), method, digest };
}

function withState(params: JsonObject, state: string | null): JsonObject {
  const { requestState: _, ...own } = params;
  return state === null ? own : { ...own, requestState: state };
}

/** The params of the first round. */
function anew(params: JsonObject): JsonObject {
  const { requestState: _state, inputResponses: _responses, ...own } = params;
  return own;
}

/** One text for all reasons: who guesses learns nothing. */
function refused(): Resumed {
  const message =
    "this requestState is not valid for this request: it was used already, is out of time, or belongs to another one; make the call again without it";
  return { kind: "refused", reply: errorReply(INVALID_PARAMS, message) };
}

// What people have agreed to, where the call that they agreed to goes on in another request: each consent serves one
// call, once. Only what was given here is known, so a consent of another daemon is none: the person is asked again.

/** Given and not used, of one principal and in all; the oldest is forgotten. */
export const MOST_CONSENTS_OF_ONE = 64;
const MOST_CONSENTS = 4_096;

interface Given {
  readonly principal: string;
  /** Monotonic ms. */
  readonly untilMs: number;
}

class Consents {
  readonly #clock: Clock;
  readonly #keptMs: number;
  /** By id, the oldest first. */
  readonly #given = new Map<string, Given>();

  constructor(clock: Clock, keptMs: number) {
    this.#clock = clock;
    this.#keptMs = keptMs;
  }

  get size(): number {
    return this.#given.size;
  }

  /** What the client brings with its next request. */
  give(principal: string): string {
    const nowMs = this.#clock.monotonicMs();
    for (const [id, { untilMs }] of this.#given) {
      if (untilMs > nowMs) break;
      this.#given.delete(id);
    }
    const own = [...this.#given].filter(([, given]) => given.principal === principal);
    const [oldest] = own.length >= MOST_CONSENTS_OF_ONE ? own : this.#given;
    if (oldest !== undefined && (own.length >= MOST_CONSENTS_OF_ONE || this.size >= MOST_CONSENTS)) {
      this.#given.delete(oldest[0]);
    }
    const id = randomBytes(18).toString("base64url");
    this.#given.set(id, { principal, untilMs: nowMs + this.#keptMs });
    return id;
  }

  /** Whether it still holds; from now on it does not. */
  use(id: string | null): boolean {
    const given = id === null ? undefined : this.#given.get(id);
    if (id === null || given === undefined) return false;
    this.#given.delete(id);
    return given.untilMs > this.#clock.monotonicMs();
  }
}

// What the chain answers, as a modern client gets it: a modern backend's state goes out in one of ours, and addresses
// that a legacy backend wants visited first become input that is required.

/** Of one error. */
const MOST_ADDRESSES = 64;

interface Outgoing extends Pick<ModernCall, "work" | "declared"> {
  /** A person agreed to the call. */
  readonly isAgreed: boolean;
  /** What shows that with the next request. */
  readonly consent: () => string | null;
  /** Null where the request cannot be told again. */
  readonly seal: (state: State) => string | null;
}

function outgoingReply(reply: Reply, { work, declared, isAgreed, consent, seal }: Outgoing): Reply {
  if (isError(reply)) {
    if (reply.error.code !== URL_ELICITATION_REQUIRED) return reply;
    // The code is one that no modern client knows.
    const unknown = errorReply(INTERNAL_ERROR, reply.error.message);
    if (!mayAskWithin(work.method)) return unknown;
    return (
      visits(reply.error, declared, (keys) => seal({ kind: "visit", keys, consent: consent() })) ?? unknown
    );
  }
  const { result } = reply;
  if (result["resultType"] !== "input_required") return reply;
  const given = result["requestState"];
  const state = typeof given === "string" ? given : null;
  // It comes back to the backend as it is: nothing depends on who sends it.
  if (state === null && !isAgreed) return reply;
  const requestState = seal({ kind: "backend", state, consent: consent() });
  return requestState === null ? notTold() : { result: { ...result, requestState } };
}

/** What is answered instead of a second call, where a person did not visit all addresses; null: it is called again. */
function declinedVisit(keys: readonly string[], { method, params }: ModernRequest): Reply | null {
  const responses = responsesIn(params);
  const isDeclined = keys.some((key) => {
    const answer = answerIn(responses, key, { method: "elicitation/create" });
    return answer !== null && answer["action"] !== "accept";
  });
  if (!isDeclined) return null;
  const text = "It was not run: the person at the client did not open the address that it needs.";
  return method === "tools/call"
    ? { result: { content: [{ type: "text", text }], isError: true } }
    : errorReply(INVALID_REQUEST, text);
}

/** Null: it names no address. */
function visits(
  { data }: RpcError,
  declared: JsonObject,
  seal: (keys: readonly string[]) => string | null,
): Reply | null {
  const given = isJsonObject(data) ? data["elicitations"] : undefined;
  const asked = Array.isArray(given) ? given.slice(0, MOST_ADDRESSES).filter(isAddress) : [];
  if (asked.length === 0) return null;
  if (takesElicitation(declared, "url") !== true) return missingReply({ elicitation: { url: {} } });
  const inputRequests = Object.fromEntries(
    asked.map(({ url, message: why }, index) => [
      `u${index + 1}`,
      { method: "elicitation/create", params: { mode: "url", message: why, url } },
    ]),
  );
  const requestState = seal(Object.keys(inputRequests));
  return requestState === null
    ? notTold()
    : { result: { resultType: "input_required", inputRequests, requestState } };
}

function isAddress(value: unknown): value is { readonly url: string; readonly message: string } {
  return isJsonObject(value) && typeof value["url"] === "string" && typeof value["message"] === "string";
}

function notTold(): Reply {
  return errorReply(INTERNAL_ERROR, "input is required, and the request is nested too deep to be made again");
}

// The `requestState` that modern clients carry from round to round: signed, bound to one principal and one request, and
// good for a time. Clients may read it; what they change is refused.

/** What a state is good for. */
interface Bound {
  readonly principal: string;
  readonly method: string;
  /** `paramsDigest` of its params. */
  readonly digest: string;
}

/** `consent`: that a person agreed to the call, for the next request alone; null: nobody was asked. */
type State =
  /** A call that the daemon of that generation holds. */
  | { readonly kind: "hold"; readonly call: string; readonly round: number; readonly generation: number }
  /** A modern backend's own state, as it came; null: it gave none. */
  | {
      readonly kind: "backend";
      readonly state: string | null;
      readonly consent: string | null;
      /** Of the identity that the call had. */
      readonly mark?: string;
    }
  /** Addresses that a person had to visit before the call is made again; the answers come under these keys. */
  | { readonly kind: "visit"; readonly keys: readonly string[]; readonly consent: string | null };

const KEY_BYTES = 32;

class StateSeal {
  #key = randomBytes(KEY_BYTES);

  /** For the next daemon; never written anywhere. */
  get key(): string {
    return this.#key.toString("base64url");
  }

  /** States that were sealed with the key before are refused from now on. A text that is no key changes nothing. */
  take(key: string): void {
    const bytes = Buffer.from(key, "base64url");
    if (bytes.length === KEY_BYTES) this.#key = bytes;
  }

  /** `untilMs`: wall clock, so that another process reads it alike. */
  seal(state: State, bound: Bound, untilMs: number): string {
    return signText(this.#key, { untilMs, ...state }, textsOf(bound));
  }

  /** Null: it is not ours, or is for something else, or its time is over. */
  open(token: string, bound: Bound, nowMs: number): State | null {
    // We wrote it.
    const opened = openSigned(this.#key, token, textsOf(bound));
    const state = opened as (State & { readonly untilMs: number }) | undefined;
    return state !== undefined && state.untilMs > nowMs ? state : null;
  }
}

function textsOf({ principal, method, digest }: Bound): readonly string[] {
  return [principal, method, digest];
}

/** Equal for one request in all its rounds, whatever the order of its keys. Null: nested too deep. */
function paramsDigest(params: JsonObject | undefined): string | null {
  const { _meta, inputResponses, requestState, ...own } = params ?? {};
  return isWritable(own) ? sha256Of(canonical(own)) : null;
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (!isJsonObject(value)) return JSON.stringify(value);
  const entries = Object.keys(value)
    .toSorted()
    .map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`);
  return `{${entries.join(",")}}`;
}
