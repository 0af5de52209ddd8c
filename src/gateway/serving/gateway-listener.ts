// The gateway's listening address. A busy port is retried, and a new address is bound before the old one is given up.
import type { IncomingMessage, ServerResponse } from "node:http";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import type { RuntimeTools } from "../../runtime/log/runtime-tools.ts";
import { backoffMs } from "../../runtime/time/backoff.ts";
import { isoTime, type Timer } from "../../runtime/time/clock.ts";
import { type Listener, openListener, rebind } from "../frontend/http/listener.ts";
import type { GatewayTransition } from "../gateway-transitions.ts";
import { GATEWAY_CONDITIONS, type GatewayCondition } from "./condition-rows.ts";
import {
  closeInheritedListener,
  type HandleOther,
  type InheritedListener,
  type ListenAddress,
  type PreparedGateway,
} from "./gateway-contract.ts";

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** Gives a request to `mcp` unless `first` has answered it. */
export function beforeMcp(first: HandleOther | undefined, mcp: Handler): Handler {
  if (first === undefined) return mcp;
  return (request, response) => {
    if (!first(request, response)) mcp(request, response);
  };
}

interface GatewayListenerOptions extends RuntimeTools {
  readonly handler: Handler;
  readonly announce: (transition: GatewayTransition) => void;
  /** See `ListenerOptions`. */
  readonly homeOf?: (pid: number) => Promise<string | null>;
  /** How long requests at a replaced address may still take. */
  readonly drainMs: () => number;
  readonly openQuestions: () => number;
}

/**
 * A replaced address closes when no question has been open for NEXT_QUESTION_MS, at the latest after ANSWERS_MS. This
 * is checked every CHECK_MS. All in ms.
 */
const ANSWERS_MS = 600_000;
const NEXT_QUESTION_MS = 2_000;
const CHECK_MS = 250;
const RETRY_MS = { first: 1_000, most: 60_000 };
/** The previous daemon keeps the port for a moment after its socket was handed over. */
const QUICK_RETRY_MS = 20;
const QUICK_TRIES = 100;

const NOTHING: PreparedGateway = { commit() {}, retire: async () => {}, rollback: async () => {} };

export class GatewayListener {
  /** `listen_failed` while the address cannot be bound. */
  condition: GatewayCondition | null = null;
  readonly #options: GatewayListenerOptions;
  readonly #old = new Set<Listener>();
  #wanted: ListenAddress | null = null;
  #current: Listener | null = null;
  #failures = 0;
  #retry: Timer | null = null;
  #quickTries = 0;
  readonly #closing = new AbortController();

  constructor(options: GatewayListenerOptions) {
    this.#options = options;
  }

  /** null: the gateway does not listen. */
  get url(): string | null {
    return this.#current?.url ?? null;
  }

  get host(): string {
    return this.#wanted?.host ?? "127.0.0.1";
  }

  /** Resolves after the first attempt; retries with backoff. Closes `handed` if it listens at another address. */
  async open(address: ListenAddress, handed: InheritedListener | null = null): Promise<void> {
    this.#wanted = address;
    const isSame = handed?.address.host === address.host && handed.address.port === address.port;
    if (!isSame) closeInheritedListener(handed);
    await this.#attempt(address, isSame ? handed : null);
  }

  /** The listener for the next daemon. This process also listens on it until `leave`. */
  get handed(): InheritedListener | null {
    const handle = this.#current?.handle ?? null;
    return handle === null || this.#wanted === null ? null : { address: this.#wanted, handle };
  }

  /**
   * Call when the next daemon listens. Each connection closes after its next response, or when `graceMs` is over. Resolves
   * when all are closed.
   */
  async leave(graceMs: number): Promise<void> {
    await Promise.all([this.#current, ...this.#old].map((listener) => listener?.drain(graceMs)));
  }

  /** Closes idle connections. Their clients then connect to the next daemon. */
  closeIdle(): void {
    for (const listener of [this.#current, ...this.#old]) listener?.closeIdle();
  }

  /** `address` null: the commit stops listening. Rejects with `listen_failed`; then nothing has changed. */
  async prepare(address: ListenAddress | null): Promise<PreparedGateway> {
    if (address?.host === this.#wanted?.host && address?.port === this.#wanted?.port) return NOTHING;
    // Set only at the commit, because until then a retry of `open` may still bind the old address.
    let replaced: Listener | null = null;
    const replaceBy = (listener: Listener | null): void => {
      this.#wanted = address;
      replaced = this.#current;
      if (replaced !== null) this.#replace(replaced);
      this.#complete(listener);
    };
    const retire = (): Promise<void> => this.#retire(replaced);
    if (address === null) return { ...NOTHING, commit: () => replaceBy(null), retire };
    // Requests that arrive before the commit wait for the rules that the commit brings.
    const gated = delayRequests(this.#options.handler);
    const options = { ...this.#options, ...address, handler: gated.handler };
    // An old listener at this port may still be open for clients' answers to questions. It gives the port to the new
    // listener, which then receives these answers.
    for (const old of this.#old) if (old.port === address.port) old.stopListening();
    const current = this.#current;
    const rebinding = current === null ? await openSeparately(options) : await rebind(current, options);
    return {
      commit() {
        replaceBy(rebinding.listener);
        gated.release();
      },
      retire,
      rollback: () => rebinding.rollback(),
    };
  }

  /** Closes the listeners; their connections have `graceMs` to end. */
  async close(graceMs: number): Promise<void> {
    this.#closing.abort();
    this.#retry?.[Symbol.dispose]();
    await Promise.all([this.#current, ...this.#old].map((listener) => listener?.close(graceMs)));
  }

  get #isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  /**
   * Clients answer a question at the address where they were asked. The old address therefore keeps listening while
   * questions are open.
   */
  #replace(listener: Listener): void {
    if (listener.isListening && this.#options.openQuestions() > 0) listener.leave();
    else listener.stopListening();
  }

  async #untilAnswered(listener: Listener): Promise<void> {
    const { clock, openQuestions } = this.#options;
    const untilMs = clock.monotonicMs() + ANSWERS_MS;
    let requestedMs = clock.monotonicMs();
    while (listener.isListening && !this.#isClosed) {
      const nowMs = clock.monotonicMs();
      if (openQuestions() > 0) requestedMs = nowMs;
      // After an answer, the server often asks the next question.
      if (nowMs >= untilMs || nowMs - requestedMs >= NEXT_QUESTION_MS) return;
      await clock.sleep(CHECK_MS, this.#closing.signal).catch(() => {});
    }
  }

  #complete(listener: Listener | null): void {
    const { announce } = this.#options;
    const before = this.#current;
    this.#retry?.[Symbol.dispose]();
    this.#retry = null;
    this.condition = null;
    this.#quickTries = 0;
    this.#failures = 0;
    if (before !== null && listener !== before) {
      announce({ name: "gateway.stopped_listening", url: before.url });
    }
    this.#current = listener;
    if (listener !== null) announce({ name: "gateway.listening", url: listener.url });
  }

  async #attempt(address: ListenAddress, handed: InheritedListener | null = null): Promise<void> {
    const isOver = (): boolean => this.#isClosed || this.#wanted !== address;
    try {
      const listener = await openListener({ ...this.#options, ...address, handle: handed?.handle });
      if (isOver()) await listener.close(0);
      else this.#complete(listener);
    } catch (error) {
      closeInheritedListener(handed);
      if (handed !== null) this.#quickTries = QUICK_TRIES;
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
      ...GATEWAY_CONDITIONS.listen_failed(reason, error instanceof MountaineerError ? error.hint : null),
      since: this.condition?.since ?? isoTime(clock.wallMs()),
    };
    this.#retry = clock.setTimer(this.#nextWaitMs(), () => void this.#attempt(address));
  }

  #nextWaitMs(): number {
    if (this.#quickTries > 0) {
      this.#quickTries -= 1;
      return QUICK_RETRY_MS;
    }
    this.#failures += 1;
    return backoffMs(RETRY_MS, this.#failures);
  }

  async #retire(listener: Listener | null): Promise<void> {
    if (listener === null) return;
    this.#old.add(listener);
    await this.#untilAnswered(listener);
    await listener.drain(this.#options.drainMs());
    this.#old.delete(listener);
  }
}

function delayRequests(handler: Handler) {
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

async function openSeparately(options: Parameters<typeof openListener>[0]) {
  const listener = await openListener(options);
  return { listener, rollback: () => listener.close(0) };
}
