// The calls that wait for modern clients to come back with their answers, by whichever connection: how many there may
// be, and how the state that clients carry is read.
import { randomBytes } from "node:crypto";
import type { Clock } from "../../../runtime/time/clock.ts";
import { principalKey, type Question } from "../../client-port.ts";
import {
  BACKEND_UNAVAILABLE,
  errorReply,
  INVALID_PARAMS,
  isError,
  type JsonObject,
  type Reply,
} from "../../json-rpc.ts";
import type { Holding, ModernCall, Resumed } from "../modern/call.ts";
import type { ModernRequest } from "../modern/request.ts";
import type { CallOutlet } from "../session/outlet.ts";
import { HOLD_MS, Hold } from "./hold.ts";
import { mayAskWithin } from "./input-requests.ts";
import { declinedVisit, outgoingReply } from "./outgoing-reply.ts";
import { type Bound, paramsDigest, type State, StateSeal } from "./sealed-state.ts";

/** Calls that wait for their clients: of one principal, in all, and how much they keep. */
export const MOST_OF_ONE = 64;
export const MOST_PARKED = 512;
export const MOST_BYTES = 64 * 1024 * 1024;
/** A state that is a backend's costs nothing here, ms. */
export const STATE_MS = 3_600_000;

/** What a daemon gives the next one, so that this reads what its clients carry. */
export interface StatesOfDaemon {
  readonly key: string;
  readonly generation: number;
}

/** Another daemon, which holds calls whose clients may come to this one. */
export interface HoldsElsewhere {
  /** Answers on `outlet`. Null: it is gone. */
  resume(request: ModernRequest, outlet: CallOutlet): { readonly gone: () => void } | null;
}

export class Holds implements Holding {
  readonly #clock: Clock;
  readonly #seal = new StateSeal();
  readonly #byCall = new Map<ModernCall, Hold>();
  /** Those whose clients have been told something, by the id in their state; the one told last comes last. */
  readonly #byId = new Map<string, Hold>();
  /** How many daemons have handed over, each to the next, before this one. */
  #generation = 0;
  #older: HoldsElsewhere | null = null;
  #newer: HoldsElsewhere | null = null;
  #ended: string | null = null;
  #none: PromiseWithResolvers<void> | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** With them the next daemon reads the states that are out. */
  get states(): StatesOfDaemon {
    return { key: this.#seal.key, generation: this.#generation };
  }

  /** Another daemon was in charge before: its states are read from now on, and its calls are passed to it. */
  follow({ key, generation }: StatesOfDaemon, older: HoldsElsewhere): void {
    this.#seal.take(key);
    this.#generation = generation + 1;
    this.#older = older;
  }

  /** Another daemon is in charge from now on: a connection that stayed here may bring what belongs to it. */
  makeWay(newer: HoldsElsewhere): void {
    this.#newer = newer;
  }

  get openQuestions(): number {
    return [...this.#byCall.values()].reduce((sum, { open }) => sum + open, 0);
  }

  /** Calls whose clients are away. */
  get parked(): number {
    return this.#parked().length;
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
    const hold = this.#byCall.get(call) ?? this.#hold(call);
    return hold.ask(...question);
  }

  resume(request: ModernRequest, outlet: CallOutlet): Resumed {
    const { params } = request;
    const token = params["requestState"];
    if (token === undefined || !mayAskWithin(request.method))
      return { kind: "begins", params, isAgreed: false, identity: null };
    const state = this.#open(request, token);
    if (state === null) return refused();
    if (state.kind === "hold") return this.#goOn(request, outlet, state);
    const { isAgreed, identity } = state;
    if (state.kind === "backend") {
      return { kind: "begins", params: withState(params, state.state), isAgreed, identity };
    }
    const declined = declinedVisit(state.keys, request);
    return declined === null
      ? { kind: "begins", params: anew(params), isAgreed, identity }
      : { kind: "refused", reply: declined };
  }

  outgoing(call: ModernCall, reply: Reply): Reply {
    const hold = this.#byCall.get(call);
    hold?.settled();
    // Its backend has gone, and the call with it: the client can only make it again.
    if (hold?.endedEarly === true && isError(reply) && reply.error.code === BACKEND_UNAVAILABLE) {
      const message = `the call of this requestState has ended: ${reply.error.message}; make it again without it`;
      return errorReply(INVALID_PARAMS, message);
    }
    return outgoingReply(reply, call, (state) => this.#sealed(call.newest, state, STATE_MS));
  }

  early(call: ModernCall, reply: Reply): void {
    this.#byCall.get(call)?.early(reply);
  }

  end(reason: string): void {
    this.#ended ??= reason;
    for (const hold of [...this.#byCall.values()]) hold.end(reason);
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
  ): Resumed {
    if (generation !== this.#generation) {
      const elsewhere = generation < this.#generation ? this.#older : this.#newer;
      const passed = elsewhere?.resume(request, outlet) ?? null;
      return passed === null ? refused() : { kind: "goes_on", gone: passed.gone };
    }
    const hold = this.#byId.get(id);
    // A round that was answered already must not answer twice.
    const goesOn = hold?.goOn(request, outlet, round) === true;
    return goesOn ? { kind: "goes_on", gone: () => hold.gone(outlet) } : refused();
  }

  #hold(call: ModernCall): Hold {
    let id: string | null = null;
    const hold: Hold = new Hold({
      clock: this.#clock,
      call,
      principal: principalKey(call.newest.principal),
      seal: (round) => {
        id ??= randomBytes(18).toString("base64url");
        const state: State = { kind: "hold", call: id, round, generation: this.#generation };
        return this.#sealed(call.newest, state, HOLD_MS);
      },
      onParked: () => {
        if (id === null) return;
        this.#byId.delete(id);
        this.#byId.set(id, hold);
        this.#makeRoom(hold);
      },
      onGrown: () => this.#makeRoom(hold),
      onOver: () => {
        if (id !== null) this.#byId.delete(id);
        this.#byCall.delete(call);
        if (this.#byCall.size > 0) return;
        this.#none?.resolve();
        this.#none = null;
      },
    });
    this.#byCall.set(call, hold);
    return hold;
  }

  /** The oldest of who has most gives way; where all keep too much, the largest does. */
  #makeRoom({ principal }: Hold): void {
    const own = this.#parked().filter((hold) => hold.principal === principal);
    for (const oldest of own.slice(0, Math.max(0, own.length - MOST_OF_ONE))) giveWay(oldest);
    for (let all = this.#parked(); all.length > MOST_PARKED; all = this.#parked()) {
      const groups = [...Map.groupBy(all, (hold) => hold.principal).values()];
      const [oldest] = groups.reduce((a, b) => (b.length > a.length ? b : a));
      if (oldest !== undefined) giveWay(oldest);
    }
    for (let all = this.#parked(); bytesOf(all) > MOST_BYTES; all = this.#parked()) {
      giveWay(all.reduce((a, b) => (b.bytes > a.bytes ? b : a)));
    }
  }

  #parked(): readonly Hold[] {
    return [...this.#byId.values()].filter(({ isParked }) => isParked);
  }
}

function bytesOf(holds: readonly Hold[]): number {
  return holds.reduce((sum, { bytes }) => sum + bytes, 0);
}

function giveWay(hold: Hold): void {
  hold.end("the call gave way to others that wait for their clients");
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

/** As in the first round. */
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
