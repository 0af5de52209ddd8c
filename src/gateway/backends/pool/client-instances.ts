// The instances that belong to one client each (`instances = "per-client"`): started at its first call, ended with its
// session, drained when the connection changes.
import type { Timer } from "../../../runtime/time/clock.ts";
import type { CallSignal } from "../../call-signal.ts";
import type { ClientPort } from "../../client-port.ts";
import { BACKEND_UNAVAILABLE, errorReply, type Reply } from "../../json-rpc.ts";
import type { BackendInstance } from "../instance/start-backend-instance.ts";
import { type DrainReason, drainMessage, unwantedMessage } from "../policy/draining.ts";
import type { LaneState } from "./lane-state.ts";
import type { InstanceBase, PoolInstance } from "./pool-instance.ts";
import { WaitingCalls } from "./waiting-calls.ts";

/**
 * Of one backend. Those that drain do not count: a change must not refuse the clients that it moves. Beyond it, that of
 * the client which may have gone gives way.
 */
const MAX_CLIENT_INSTANCES = 64;

interface ClientCall {
  readonly run: (entry: PoolInstance, leftMs: number) => Promise<Reply>;
  readonly deadlineMs: number;
  readonly signal: CallSignal;
}

/** Requests or checks in a row that did not reach it, after which the next call gets another one. */
const DISTRUST_CHECKS = 3;

/** What ends for these is not replaced. */
const STARTS_NONE: readonly DrainReason[] = ["removed", "disabled", "data_moves"];

interface Own {
  entry: PoolInstance;
  usedMs: number;
  readonly waiting: WaitingCalls;
}

export class ClientInstances {
  readonly #state: LaneState;
  readonly #backend: string;
  readonly #subscriptions: PoolSubscriptions;
  readonly #owned = new Map<ClientPort, Own>();
  readonly #retired = new Map<PoolInstance, Timer>();
  readonly #closing = new Map<PoolInstance, Promise<void>>();
  /** Calls in a row had no answer: a check without one is enough. */
  readonly #doubted = new WeakSet<PoolInstance>();
  /** Known to be ready: what waited for it was begun. */
  readonly #begun = new WeakSet<PoolInstance>();

  constructor(state: LaneState, subscriptions: PoolSubscriptions) {
    this.#state = state;
    this.#backend = `backend ${state.name}`;
    this.#subscriptions = subscriptions;
  }

  /** Those that exist, draining ones included. */
  get all(): readonly PoolInstance[] {
    const owned = [...this.#owned.values()].map(({ entry }) => entry);
    return [...owned, ...this.#retired.keys(), ...this.#closing.keys()];
  }

  get drainingInFlight(): number {
    return [...this.#retired.keys()].reduce((sum, { instance }) => sum + instance.seen.inFlight, 0);
  }

  /** Null: it has none that answers now. */
  ready(client: ClientPort): PoolInstance | null {
    const own = this.#owned.get(client);
    if (own?.entry.isReady !== true) return null;
    own.usedMs = this.#nowMs();
    return own.entry;
  }

  /** On the client's own instance, which is started for it when there is none. Never rejects. */
  async call(client: ClientPort, { run, deadlineMs, signal }: ClientCall): Promise<Reply> {
    const ready = this.#owned.get(client)?.entry;
    if (ready?.isReady === true) return run(ready, deadlineMs);
    if (client.ended.aborted) return errorReply(BACKEND_UNAVAILABLE, "the session has ended");
    if (!this.#owned.has(client) && this.#base !== null) this.#makeRoom();
    const own = this.#owned.get(client) ?? this.#startFor(client);
    if (typeof own === "string") return errorReply(BACKEND_UNAVAILABLE, own);
    return own.waiting.add({ run: (leftMs) => run(own.entry, leftMs), deadlineMs, signal });
  }

  /** Starts one for a client that needs it without a call. */
  ensure(client: ClientPort): void {
    if (!this.#owned.has(client) && !client.ended.aborted) this.#startFor(client);
  }

  /** Those that `isWanted` does not name get no more calls, and end when theirs have. */
  retire(isWanted: (entry: PoolInstance) => boolean, why: DrainReason): void {
    for (const [client, own] of [...this.#owned]) {
      const { entry } = own;
      if (isWanted(entry)) continue;
      const base = STARTS_NONE.includes(why) ? null : this.#base;
      if (own.waiting.size > 0 && base !== null) {
        // Its calls have not begun: they wait for the new one instead.
        own.entry = this.#start(client, base);
      } else {
        this.#owned.delete(client);
        // They were accepted while it was wanted: the instance holds them until it is ready, and drains. Where the
        // backend is shared again, `run` sends them there.
        own.waiting.begin();
      }
      this.#retireOne(entry, why);
    }
  }

  forget(client: ClientPort): void {
    const own = this.#owned.get(client);
    for (const entry of [...this.#retired.keys()]) entry.instance.forget(client);
    if (own !== undefined) this.#end(client, own, "the session has ended");
  }

  /** All end now: calls in flight get the error. */
  async close(message: string): Promise<void> {
    for (const { entry, waiting } of this.#owned.values()) {
      waiting.fail(message);
      this.#close(entry, message);
    }
    this.#owned.clear();
    for (const entry of [...this.#retired.keys()]) this.#close(entry, message);
    await Promise.all(this.#closing.values());
  }

  #nowMs(): number {
    return this.#state.tools.clock.monotonicMs();
  }

  /** What a new one is made of; null: none is to be started. */
  get #base(): InstanceBase | null {
    const { isPerClient, decision, base } = this.#state;
    return isPerClient && decision.calls.kind !== "refuse" ? base : null;
  }

  /** A call was answered, or an instance is gone. */
  #settled(): void {
    const state = this.#state;
    if (!state.isWanted) state.trigger("drain");
    if (state.stopped !== null || state.decision.gate.kind !== "open") state.changed();
  }

  #close(entry: PoolInstance, message: string): void {
    this.#retired.get(entry)?.[Symbol.dispose]();
    this.#retired.delete(entry);
    const ended = entry.close({ code: BACKEND_UNAVAILABLE, message }).then(() => {
      this.#closing.delete(entry);
      this.#settled();
    });
    this.#closing.set(entry, ended);
  }

  #retireOne(entry: PoolInstance, why: DrainReason): void {
    const { name, tools } = this.#state;
    if (entry.instance.seen.inFlight === 0) {
      this.#close(entry, unwantedMessage(name, why));
      return;
    }
    const limitMs = tools.drainTimeoutMs();
    const cut = (): void => this.#close(entry, drainMessage(name, why, limitMs));
    this.#retired.set(entry, tools.clock.setTimer(limitMs, cut));
  }

  #end(client: ClientPort, own: Own, message: string): void {
    this.#owned.delete(client);
    own.waiting.fail(message);
    own.entry.instance.forget(client);
    this.#close(own.entry, message);
  }

  /** Ends the one used longest ago of those whose clients do nothing: most of these left without a word. */
  #makeRoom(): void {
    if (this.#owned.size < MAX_CLIENT_INSTANCES) return;
    let oldest: readonly [ClientPort, Own] | null = null;
    for (const [client, own] of this.#owned) {
      const isIdle = !client.busy && own.waiting.size === 0 && own.entry.instance.seen.inFlight === 0;
      if (isIdle && (oldest === null || own.usedMs < oldest[1].usedMs)) oldest = [client, own];
    }
    if (oldest === null) return;
    const { name: backend, tools } = this.#state;
    tools.logger.info("the instance of an idle client gives way to a newer client's", { backend });
    this.#end(...oldest, `${this.#backend}: the instance of this client gave way to a newer one`);
  }

  /** The error when it cannot be. */
  #startFor(client: ClientPort): Own | string {
    const base = this.#base;
    if (base === null) return `${this.#backend} is not running`;
    if (this.#owned.size >= MAX_CLIENT_INSTANCES) {
      return `${this.#backend} runs ${MAX_CLIENT_INSTANCES} instances for its clients already, which is the limit`;
    }
    const { tools, name } = this.#state;
    const own: Own = {
      entry: this.#start(client, base),
      usedMs: this.#nowMs(),
      waiting: new WaitingCalls(tools.clock, name),
    };
    this.#owned.set(client, own);
    return own;
  }

  #start(client: ClientPort, base: InstanceBase): PoolInstance {
    return this.#state.startInstance(base, client, {
      onChange: (entry) => this.#look(client, entry),
      onListings: () => {},
      onSettled: (entry) => {
        if (this.#retired.has(entry) && entry.instance.seen.inFlight === 0) this.#closeEnded(entry);
        this.#settled();
      },
      onDoubt: (entry) => {
        this.#doubted.add(entry);
        entry.instance.check();
      },
    });
  }

  #closeEnded(entry: PoolInstance): void {
    this.#close(entry, `${this.#backend} has ended`);
  }

  /** Something about an instance has changed. */
  #look(client: ClientPort, entry: PoolInstance): void {
    const { state, missedChecks } = entry.instance.seen;
    const own = this.#owned.get(client);
    if (own?.entry !== entry) {
      if (state.kind === "ended" && this.#retired.has(entry)) this.#closeEnded(entry);
    } else if (state.kind === "ended") {
      this.#owned.delete(client);
      const { failure, wasReady } = state;
      const what = wasReady ? "has ended" : "could not be started";
      own.waiting.fail(`${this.#backend}: the instance of this client ${what}: ${failure.message}`);
      this.#close(entry, failure.message);
    } else if (state.kind !== "ready") return;
    else if (missedChecks >= (this.#doubted.has(entry) ? 1 : DISTRUST_CHECKS)) {
      this.#owned.delete(client);
      own.waiting.fail(unwantedMessage(this.#state.name, "not_answering"));
      this.#retireOne(entry, "not_answering");
    } else if (!this.#begun.has(entry)) {
      this.#begun.add(entry);
      // What its client had subscribed to elsewhere goes there.
      this.#subscriptions.move(null, entry.instance, client);
      own.waiting.begin();
    }
  }
}

// Which client is subscribed to which resource of one backend, so that a new instance can take over.

export class PoolSubscriptions {
  readonly #byClient = new Map<ClientPort, Set<string>>();

  get clients(): readonly ClientPort[] {
    return [...this.#byClient.keys()];
  }

  add(client: ClientPort, uri: string): void {
    this.#byClient.set(client, (this.#byClient.get(client) ?? new Set()).add(uri));
  }

  delete(client: ClientPort, uri: string): void {
    const uris = this.#byClient.get(client);
    if (uris?.delete(uri) === true && uris.size === 0) this.forget(client);
  }

  forget(client: ClientPort): void {
    this.#byClient.delete(client);
  }

  clear(): void {
    this.#byClient.clear();
  }

  /** `to` takes over those of one client, or of all; `from`, which may still finish calls, tells nobody any more. */
  move(from: BackendInstance | null, to: BackendInstance | null, client?: ClientPort): void {
    if (this.#byClient.size === 0) return;
    const moved = this.#byUri(client);
    to?.adopt(moved);
    if (from?.seen.state.kind !== "ready") return;
    for (const [uri, clients] of moved) for (const one of clients) void from.unsubscribe(uri, one);
  }

  #byUri(client: ClientPort | undefined): ReadonlyMap<string, ReadonlySet<ClientPort>> {
    const found = new Map<string, Set<ClientPort>>();
    for (const [owner, uris] of this.#byClient) {
      if (client !== undefined && owner !== client) continue;
      for (const uri of uris) found.set(uri, (found.get(uri) ?? new Set()).add(owner));
    }
    return found;
  }
}
