// The address at which the gateway listens: a busy port at the start is tried again, and a new address is bound before
// the old one is given up.
import type { IncomingMessage, ServerResponse } from "node:http";
import { type Backoff, backOff, NO_BACKOFF } from "../../reconcile/route-health.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import type { Timer } from "../../runtime/time/clock.ts";
import type { BackendCondition } from "../backends/policy/backend-pool-contract.ts";
import { type Listener, openListener, rebind } from "../front/http/listener.ts";
import type { PassConnection } from "../front/http/passed-connections.ts";
import type { GatewayTools } from "../gateway-tools.ts";
import type { GatewayTransition } from "../gateway-transitions.ts";
import {
  type Beside,
  closeHandedListener,
  closeHandle,
  type HandedListener,
  type ListenAddress,
  type PreparedGateway,
} from "./gateway-contract.ts";

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** What is asked for elsewhere at the same address comes to `beside`, the rest to `mcp`. */
export function besideMcp(beside: Beside | undefined, mcp: Handler): Handler {
  if (beside === undefined) return mcp;
  return (request, response) => {
    if (!beside(request, response)) mcp(request, response);
  };
}

interface GatewayListenerOptions extends GatewayTools {
  readonly handler: Handler;
  readonly announce: (transition: GatewayTransition) => void;
  /** How long what came through an old address may go on, ms. */
  readonly drainMs: () => number;
  /** What clients were asked and have not answered yet. */
  readonly openQuestions: () => number;
}

/** How long an old address stays for answers at most, and how often it is looked whether they are in. */
const ANSWERS_MS = 600_000;
const NEXT_QUESTION_MS = 2_000;
const LOOK_MS = 250;
/** Who gave the handed listens there until this daemon has taken over, which is a matter of moments. */
const AFTER_GIVEN_MS = 20;
const AFTER_GIVEN_TRIES = 100;

const NOTHING: PreparedGateway = { commit() {}, retire: async () => {}, rollback: async () => {} };

export class GatewayListener {
  /** Why it does not listen although it should. */
  condition: BackendCondition | null = null;
  readonly #options: GatewayListenerOptions;
  readonly #old = new Set<Listener>();
  #wanted: ListenAddress | null = null;
  #current: Listener | null = null;
  #backoff: Backoff = NO_BACKOFF;
  #retry: Timer | null = null;
  /** Tries at short notice that are left. */
  #quickTries = 0;
  readonly #closing = new AbortController();
  /** To the process that has taken over; null: none has, or it takes no connections. */
  #pass: PassConnection | null = null;
  #closed = false;

  constructor(options: GatewayListenerOptions) {
    this.#options = options;
  }

  /** Null while it does not listen. */
  get url(): string | null {
    return this.#current?.url ?? null;
  }

  /** As wanted; loopback while nothing is. */
  get host(): string {
    return this.#wanted?.host ?? "127.0.0.1";
  }

  /** Listens, or tries again with backoff; resolves after the first try, whatever came of it. */
  async open(address: ListenAddress, handed: HandedListener | null = null): Promise<void> {
    this.#wanted = address;
    const isSame = handed?.address.host === address.host && handed.address.port === address.port;
    if (!isSame) closeHandedListener(handed);
    await this.#attempt(address, isSame ? handed : null);
  }

  /** For who takes over; it goes on to listen until `leave`. */
  get handed(): HandedListener | null {
    const handle = this.#current?.handle ?? null;
    return handle === null || this.#wanted === null ? null : { address: this.#wanted, handle };
  }

  /**
   * Another process has the handed: those who came through it are passed on to it between two requests, or, where it takes
   * none (null), served to their next response, as are those of an address before. They go a few at a time, or `allAtOnce`.
   */
  async leave(graceMs: number, pass: PassConnection | null, allAtOnce = false): Promise<void> {
    this.#pass = pass;
    const old = [...this.#old].map((listener) => listener.drain(graceMs));
    await Promise.all([this.#current?.drain(graceMs, pass, allAtOnce), ...old]);
  }

  /** A connection of the process before this one, by its handle. */
  take(handle: object): void {
    if (this.#pass !== null) void this.#pass(handle).then(() => closeHandle(handle));
    else if (this.#current === null || this.#closed) closeHandle(handle);
    else this.#current.take(handle);
  }

  /** Who is there without a request goes through the handed anew. */
  closeIdle(): void {
    for (const listener of [this.#current, ...this.#old]) listener?.closeIdle();
  }

  /** Null: listen no more. Rejects with `listen_failed`, and all is as before. */
  async prepare(address: ListenAddress | null): Promise<PreparedGateway> {
    if (address?.host === this.#wanted?.host && address?.port === this.#wanted?.port) return NOTHING;
    // Known at commit: until then the old address, which was busy, may have been got after all.
    let replaced: Listener | null = null;
    const replaceBy = (listener: Listener | null): void => {
      this.#wanted = address;
      replaced = this.#current;
      if (replaced !== null) this.#replace(replaced);
      this.#settle(listener);
    };
    const retire = (): Promise<void> => this.#retire(replaced);
    if (address === null) return { ...NOTHING, commit: () => replaceBy(null), retire };
    // What comes to the new address already is served by the rules that come with it, never by the old ones.
    const held = holdRequests(this.#options.handler);
    const options = { ...this.#options, ...address, handler: held.handler };
    // One that stayed for answers: the new one takes them.
    for (const old of this.#old) if (old.port === address.port) old.stopListening();
    const current = this.#current;
    const rebinding = current === null ? await openAlone(options) : await rebind(current, options);
    return {
      commit() {
        replaceBy(rebinding.listener);
        held.release();
      },
      retire,
      rollback: () => rebinding.rollback(),
    };
  }

  /** Ends what was cut off in `graceMs`. */
  async close(graceMs: number): Promise<void> {
    this.#closed = true;
    this.#closing.abort();
    this.#retry?.[Symbol.dispose]();
    await Promise.all([this.#current, ...this.#old].map((listener) => listener?.close(graceMs)));
  }

  /** A client answers where it was asked: the address stays for that, where nothing else covers it. */
  #replace(listener: Listener): void {
    if (listener.isListening && this.#options.openQuestions() > 0) listener.leave();
    else listener.stopListening();
  }

  async #untilAnswered(listener: Listener): Promise<void> {
    const { clock, openQuestions } = this.#options;
    const untilMs = clock.monotonicMs() + ANSWERS_MS;
    let askedMs = clock.monotonicMs();
    while (listener.isListening && !this.#closed) {
      const nowMs = clock.monotonicMs();
      if (openQuestions() > 0) askedMs = nowMs;
      // One question is often followed by the next.
      if (nowMs >= untilMs || nowMs - askedMs >= NEXT_QUESTION_MS) return;
      await clock.sleep(LOOK_MS, this.#closing.signal).catch(() => {});
    }
  }

  #settle(listener: Listener | null): void {
    const { announce } = this.#options;
    const before = this.#current;
    this.#retry?.[Symbol.dispose]();
    this.#retry = null;
    this.condition = null;
    this.#quickTries = 0;
    this.#backoff = NO_BACKOFF;
    if (before !== null && listener !== before) {
      announce({ name: "gateway.stopped_listening", url: before.url });
    }
    this.#current = listener;
    if (listener !== null) announce({ name: "gateway.listening", url: listener.url });
  }

  async #attempt(address: ListenAddress, handed: HandedListener | null = null): Promise<void> {
    // Another address may be wanted by then, or none.
    const isOver = (): boolean => this.#closed || this.#wanted !== address;
    try {
      const listener = await openListener({ ...this.#options, ...address, handle: handed?.handle });
      if (isOver()) await listener.close(0);
      else this.#settle(listener);
    } catch (error) {
      closeHandedListener(handed);
      if (handed !== null) this.#quickTries = AFTER_GIVEN_TRIES;
      if (!isOver()) this.#failed(address, error);
    }
  }

  #failed(address: ListenAddress, error: unknown): void {
    const { announce, clock } = this.#options;
    const reason = errorText(error);
    if (this.condition === null) {
      announce({ name: "gateway.listen_failed", address: `${address.host}:${address.port}`, reason });
    }
    this.condition = {
      code: "listen_failed",
      severity: "error",
      title: reason,
      hint: error instanceof MountaineerError ? error.hint : null,
      sinceMs: this.condition?.sinceMs ?? clock.wallMs(),
    };
    this.#retry = clock.setTimer(this.#nextWaitMs(), () => void this.#attempt(address));
  }

  #nextWaitMs(): number {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#quickTries > 0) {
      this.#quickTries -= 1;
      return AFTER_GIVEN_MS;
    }
    this.#backoff = backOff(this.#backoff, nowMs);
    return this.#backoff.notBeforeMs - nowMs;
  }

  async #retire(listener: Listener | null): Promise<void> {
    if (listener === null) return;
    this.#old.add(listener);
    await this.#untilAnswered(listener);
    await listener.drain(this.#options.drainMs());
    this.#old.delete(listener);
  }
}

/** Requests wait for `release`; those of a listener that is closed meanwhile are never begun. */
function holdRequests(handler: Handler) {
  const released = Promise.withResolvers<void>();
  let isReleased = false;
  return {
    handler(request: IncomingMessage, response: ServerResponse): void {
      if (isReleased) handler(request, response);
      else void released.promise.then(() => handler(request, response));
    },
    release(): void {
      isReleased = true;
      released.resolve();
    },
  };
}

async function openAlone(options: Parameters<typeof openListener>[0]) {
  const listener = await openListener(options);
  return { listener, rollback: () => listener.close(0) };
}
