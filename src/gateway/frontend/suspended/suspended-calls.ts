// Calls of 2026-07-28 that ask their client for input. Such a call is suspended until the client makes the request again
// with its answers, on any connection. The `requestState` that the client sends along says which call it resumes.
import { randomBytes } from "node:crypto";
import { dropOldestOfMost, ofLargest } from "../../../runtime/bounded-map.ts";
import { sha256Of } from "../../../runtime/files/sha256.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import { principalKey, type ServerRequest } from "../../client-handle.ts";
import {
  BACKEND_UNAVAILABLE,
  canonical,
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
import type { CallStream } from "../session/client-stream.ts";
import { type OtherDaemon, OtherDaemons } from "../session/other-daemons.ts";
import { answerIn, mayRequestWithin, missingReply, responsesIn } from "./input-requests.ts";
import { SUSPENDED_MS, SuspendedCall } from "./suspended-call.ts";

/** Bounds of suspended calls: of one principal, of all principals, and the bytes that all of them keep. */
export const MOST_OF_ONE = 64;
export const MOST_SUSPENDED = 512;
export const MOST_BYTES = 64 * 1024 * 1024;
/** How long a `requestState` is valid, ms, if it belongs to no suspended call. */
export const STATE_MS = 3_600_000;

/** Maximum number of URLs that the client is asked to open for one error; further ones are ignored. */
const MOST_ADDRESSES = 64;
const KEY_BYTES = 32;

/** Lets the next daemon read the states that clients got from this one. */
export interface StateKey {
  readonly key: string;
  readonly generation: number;
}

/** The previous or the next daemon. The clients of its calls may come to this daemon. */
export interface ResumingDaemon extends OtherDaemon {
  /**
   * Answers on `stream`; the caller calls `gone` when the client closes the connection. Returns null if the other
   * daemon has ended.
   */
  resume(request: ModernRequest, stream: CallStream): { readonly gone: () => void } | null;
}

export class SuspendedCalls implements CallSuspension {
  readonly #clock: Clock;
  #key = randomBytes(KEY_BYTES);
  readonly #others: OtherDaemons<ResumingDaemon>;
  readonly #consents: Consents;
  /** Calls that have asked for input. */
  readonly #byCall = new Map<ModernCall, SuspendedCall>();
  /** Calls whose client was asked for input, by the id in their `requestState`; the newest come last. */
  readonly #byId = new Map<string, SuspendedCall>();
  /** The number of handovers before this daemon started. */
  #generation = 0;
  #ended: string | null = null;
  #none: PromiseWithResolvers<void> | null = null;

  constructor(clock: Clock, others = new OtherDaemons<ResumingDaemon>()) {
    this.#clock = clock;
    this.#others = others;
    this.#consents = new Consents(clock);
  }

  get stateKey(): StateKey {
    return { key: this.#key.toString("base64url"), generation: this.#generation };
  }

  /** Called after a handover from the previous daemon. Accepts the states that it made. */
  follow({ key, generation }: StateKey): void {
    const bytes = Buffer.from(key, "base64url");
    if (bytes.length === KEY_BYTES) this.#key = bytes;
    this.#generation = generation + 1;
  }

  get openQuestions(): number {
    return [...this.#byCall.values()].reduce((sum, call) => sum + call.openQuestions, 0);
  }

  /** Number of suspended calls: their clients were asked for input and have not answered yet. */
  get size(): number {
    return this.#suspended().length;
  }

  /** Resolves when no call is suspended or asks for input. */
  none(): Promise<void> {
    if (this.#byCall.size === 0) return Promise.resolve();
    this.#none ??= Promise.withResolvers<void>();
    return this.#none.promise;
  }

  request(call: ModernCall, ...question: ServerRequest): Promise<Reply | null> {
    if (this.#ended !== null) return Promise.resolve(errorReply(BACKEND_UNAVAILABLE, this.#ended));
    if (call.work.signal.aborted) return Promise.resolve(null);
    const suspended = this.#byCall.get(call) ?? this.#callOf(call);
    return suspended.request(...question);
  }

  resume(request: ModernRequest, stream: CallStream, stopping: Stopping = () => null): Resumed {
    const { params } = request;
    const token = params["requestState"];
    if (token === undefined || !mayRequestWithin(request.method))
      return { kind: "begins", params, agreedTo: null };
    const state = this.#open(request, token);
    if (state === null) {
      // A guessed state counts as a call towards the client's limits.
      const stopped = stopping();
      return stopped === null ? refused() : { kind: "refused", reply: stopped.reply };
    }
    if (state.kind === "hold") return this.#goOn(request, stream, state, stopping);
    // A consent is valid once: if the state is used again, the person is asked again.
    const agreedTo = this.#consents.use(state.consent);
    if (state.kind === "backend") {
      return { kind: "begins", params: withState(params, state.state), agreedTo, mark: state.mark };
    }
    const declined = declinedReply(state.keys, request);
    if (declined !== null) return { kind: "refused", reply: declined };
    const { requestState: _state, inputResponses: _responses, ...own } = params;
    return { kind: "begins", params: own, agreedTo };
  }

  /**
   * The reply as the client gets it: signs the `requestState` of a backend of 2026-07-28, and turns a
   * backend's error that asks to open URLs into input requests.
   */
  outgoing(call: ModernCall, reply: Reply): Reply {
    const suspended = this.#byCall.get(call);
    suspended?.answered();
    // The call has ended because its backend failed, so the client has to make the call again.
    if (suspended?.endedEarly === true && isError(reply) && reply.error.code === BACKEND_UNAVAILABLE) {
      const message = `the call of this requestState has ended: ${reply.error.message}; make it again without it`;
      return errorReply(INVALID_PARAMS, message);
    }
    if (isError(reply)) {
      return reply.error.code === URL_ELICITATION_REQUIRED ? this.#requestOpen(call, reply.error) : reply;
    }
    const { result } = reply;
    if (result["resultType"] !== "input_required") return reply;
    const given = result["requestState"];
    const state = typeof given === "string" ? given : null;
    // With neither a state nor a consent there is nothing to sign. The backend gets the client's answers all the
    // same.
    if (state === null && call.agreedTo === null) return reply;
    const consent = this.#consentOf(call);
    const requestState = this.#sealed(
      call.newest,
      { kind: "backend", state, consent, mark: call.client.publicId },
      STATE_MS,
    );
    return requestState === null ? TOO_DEEP : { result: { ...result, requestState } };
  }

  /** Clients of 2026-07-28 do not know this error, so its URLs become input requests of mode `url`. */
  #requestOpen(call: ModernCall, { data, message }: RpcError): Reply {
    const given = isJsonObject(data) ? data["elicitations"] : undefined;
    const addresses = Array.isArray(given) ? given.slice(0, MOST_ADDRESSES).filter(isAddress) : [];
    if (addresses.length === 0 || !mayRequestWithin(call.work.method))
      return errorReply(INTERNAL_ERROR, message);
    if (takesElicitation(call.declared, "url") !== true) return missingReply({ elicitation: { url: {} } });
    const inputRequests = Object.fromEntries(
      addresses.map(({ url, message: why }, index) => [
        `u${index + 1}`,
        { method: "elicitation/create", params: { mode: "url", message: why, url } },
      ]),
    );
    const keys = Object.keys(inputRequests);
    const requestState = this.#sealed(
      call.newest,
      { kind: "visit", keys, consent: this.#consentOf(call) },
      STATE_MS,
    );
    if (requestState === null) return TOO_DEEP;
    return { result: { resultType: "input_required", inputRequests, requestState } };
  }

  #consentOf({ agreedTo, newest }: ModernCall): string | null {
    return agreedTo === null ? null : this.#consents.give(principalKey(newest.principal), agreedTo);
  }

  isIdle(call: ModernCall): boolean {
    return this.#byCall.get(call)?.isIdle === true;
  }

  evict(call: ModernCall): void {
    this.#byCall.get(call)?.end("its client went silent, and another one waits for the same server");
  }

  early(call: ModernCall, reply: Reply): void {
    this.#byCall.get(call)?.early(reply);
  }

  end(reason: string): void {
    this.#ended ??= reason;
    for (const suspended of [...this.#byCall.values()]) suspended.end(reason);
  }

  /**
   * Returns the state in a `requestState`. Returns null if the state has expired, was signed for another request, or
   * was not signed by this daemon or the previous one.
   */
  #open(request: ModernRequest, token: unknown): State | null {
    const bound = boundOf(request);
    if (typeof token !== "string" || bound === null) return null;
    // A valid signature proves that the content has the type `State`.
    const state = openSigned(this.#key, token, bound) as (State & { readonly untilMs: number }) | undefined;
    return state !== undefined && state.untilMs > this.#clock.wallMs() ? state : null;
  }

  /** Signs a state for this request only. The time of expiry is wall time, because the next daemon also checks it. */
  #sealed(request: ModernRequest, state: State, forMs: number): string | null {
    const bound = boundOf(request);
    return bound === null
      ? null
      : signText(this.#key, { untilMs: this.#clock.wallMs() + forMs, ...state }, bound);
  }

  #goOn(
    request: ModernRequest,
    stream: CallStream,
    { call: id, round, generation }: Extract<State, { readonly kind: "hold" }>,
    stopping: Stopping,
  ): Resumed {
    const stopped = stopping();
    if (stopped !== null) {
      if (stopped.isOver) this.#byId.get(id)?.end("its client may no longer make this call");
      return { kind: "refused", reply: stopped.reply };
    }
    if (generation !== this.#generation) {
      const other = generation < this.#generation ? this.#others.previous : this.#others.next;
      const passed = other?.resume(request, stream) ?? null;
      return passed === null ? refused() : { kind: "goes_on", gone: passed.gone };
    }
    const suspended = this.#byId.get(id);
    // False for a round that is answered already.
    const goesOn = suspended?.goOn(request, stream, round) === true;
    return goesOn ? { kind: "goes_on", gone: () => suspended.gone(stream) } : refused();
  }

  #callOf(call: ModernCall): SuspendedCall {
    const id = randomBytes(18).toString("base64url");
    const suspended: SuspendedCall = new SuspendedCall({
      clock: this.#clock,
      call,
      seal: (round) => {
        const state: State = { kind: "hold", call: id, round, generation: this.#generation };
        return this.#sealed(call.newest, state, SUSPENDED_MS);
      },
      onSuspended: () => {
        this.#byId.delete(id);
        this.#byId.set(id, suspended);
        this.#evictOldest(suspended);
      },
      onGrown: () => this.#evictOldest(suspended),
      onOver: () => {
        this.#byId.delete(id);
        this.#byCall.delete(call);
        if (this.#byCall.size > 0) return;
        this.#none?.resolve();
        this.#none = null;
      },
    });
    this.#byCall.set(call, suspended);
    return suspended;
  }

  /**
   * Ends the principal's oldest calls beyond its limit, then the oldest calls of whichever principal has most, then
   * the largest calls of whichever principal has most bytes, until all limits are kept.
   */
  #evictOldest({ principal }: SuspendedCall): void {
    const own = this.#suspended().filter((suspended) => suspended.principal === principal);
    for (const oldest of own.slice(0, Math.max(0, own.length - MOST_OF_ONE))) evict(oldest);
    for (let all = this.#suspended(); all.length > MOST_SUSPENDED; all = this.#suspended()) {
      const [oldest] = ofLargest(all, (one) => one.principal);
      if (oldest !== undefined) evict(oldest);
    }
    for (let all = this.#suspended(); bytesOf(all) > MOST_BYTES; all = this.#suspended()) {
      const own = ofLargest(
        all,
        (one) => one.principal,
        ({ bytes }) => bytes,
      );
      evict(own.reduce((a, b) => (b.bytes > a.bytes ? b : a)));
    }
  }

  #suspended(): readonly SuspendedCall[] {
    return [...this.#byId.values()].filter(({ isSuspended }) => isSuspended);
  }
}

function bytesOf(suspended: readonly SuspendedCall[]): number {
  return suspended.reduce((sum, { bytes }) => sum + bytes, 0);
}

function evict(call: SuspendedCall): void {
  call.end("evicted: too many calls are waiting for their clients");
}

function withState(params: JsonObject, state: string | null): JsonObject {
  const { requestState: _, ...own } = params;
  return state === null ? own : { ...own, requestState: state };
}

/** The text is the same for all reasons, so that guessing reveals nothing. */
function refused(): Resumed {
  const message =
    "this requestState is not valid for this request: it has been used, has expired, or was issued for a different request; make the call again without it";
  return { kind: "refused", reply: errorReply(INVALID_PARAMS, message) };
}

// A consent remembers that a person has agreed to a call. It is valid for one further request. The next daemon does
// not know it, and asks the person again.

/** Bounds of unused consents, of one principal and of all; beyond them the oldest is dropped. */
export const MOST_CONSENTS_OF_ONE = 64;
const MOST_CONSENTS = 4_096;

class Consents {
  readonly #clock: Clock;
  /** Unused consents by id, the oldest first. `untilMs` is monotonic. */
  readonly #given = new Map<
    string,
    { readonly principal: string; readonly agreedTo: string; readonly untilMs: number }
  >();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  give(principal: string, agreedTo: string): string {
    const own = [...this.#given].filter(([, given]) => given.principal === principal);
    if (own.length >= MOST_CONSENTS_OF_ONE) this.#given.delete(own[0]?.[0] ?? "");
    dropOldestOfMost(this.#given, MOST_CONSENTS - 1, (given) => given.principal);
    const id = randomBytes(18).toString("base64url");
    this.#given.set(id, { principal, agreedTo, untilMs: this.#clock.monotonicMs() + STATE_MS });
    return id;
  }

  /** Returns what a valid consent is for, else null, and removes the consent, because it is valid once. */
  use(id: string | null): string | null {
    const given = this.#given.get(id ?? "");
    this.#given.delete(id ?? "");
    return given !== undefined && given.untilMs > this.#clock.monotonicMs() ? given.agreedTo : null;
  }
}

/** Returns the reply for a person who did not open all URLs; null if the call is to be made again. */
function declinedReply(keys: readonly string[], { method, params }: ModernRequest): Reply | null {
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

function isAddress(value: unknown): value is { readonly url: string; readonly message: string } {
  return isJsonObject(value) && typeof value["url"] === "string" && typeof value["message"] === "string";
}

const TOO_DEEP = errorReply(
  INTERNAL_ERROR,
  "input is required, and the request is nested too deep to be made again",
);

/** The content of `requestState`: signed, not encrypted. `consent`: the id of a person's consent; null: none. */
type State =
  /**
   * Resumes a suspended call. `generation`: the number of handovers before the start of the daemon that holds the
   * call.
   */
  | { readonly kind: "hold"; readonly call: string; readonly round: number; readonly generation: number }
  /** The state that a backend of protocol 2026-07-28 gave; `state` null: the backend gave none. */
  | {
      readonly kind: "backend";
      readonly state: string | null;
      readonly consent: string | null;
      /** `publicId` of the stand-in session that served the call. */
      readonly mark?: string;
    }
  /** A person has to open URLs before the call is made again; `keys` are the keys of the client's answers. */
  | { readonly kind: "visit"; readonly keys: readonly string[]; readonly consent: string | null };

/**
 * Returns what a state is valid for: the principal and the request, without regard to the order of keys. Returns null
 * if the params are nested too deep.
 */
function boundOf({ principal, method, params }: ModernRequest): readonly string[] | null {
  const { _meta, inputResponses, requestState, ...own } = params;
  return isWritable(own) ? [principalKey(principal), method, sha256Of(canonical(own))] : null;
}
