// Instances that belong to one client each (`instances = "per-client"`), from its first call to the end of its session.
import type { Timer } from "../../../runtime/time/clock.ts";
import type { ClientPort } from "../../client-port.ts";
import { BACKEND_UNAVAILABLE, errorReply, type Reply } from "../../json-rpc.ts";
import type { BackendInstance } from "../instance/start-backend-instance.ts";
import { type DrainReason, drainMessage, unwantedMessage } from "../policy/draining.ts";
import type { LaneState } from "./lane-state.ts";
import type { InstanceBase, PoolInstance } from "./pool-instance.ts";
import { createWaitingCalls, type WaitingCalls, type WaitLimits } from "./waiting-calls.ts";

/**
 * Maximum number of instances that serve one client each; above this number, the instance of an idle client is ended.
 * Draining instances do not count: otherwise a changed configuration would lock out clients.
 */
const MAX_CLIENT_INSTANCES = 64;
/** Missed checks after which the client's next call gets another instance. */
const DISTRUST_CHECKS = 3;

/** An instance that drains for one of these reasons gets no replacement. */
const NOT_REPLACED: readonly DrainReason[] = ["removed", "disabled", "data_moves"];

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
  /** Instances on which several calls in a row timed out. One missed check is enough to distrust such an instance. */
  readonly #doubted = new WeakSet<PoolInstance>();
  /** Instances that have become ready. The calls that waited for them have been sent to them. */
  readonly #begun = new WeakSet<PoolInstance>();

  constructor(state: LaneState, subscriptions: PoolSubscriptions) {
    this.#state = state;
    this.#backend = `backend ${state.name}`;
    this.#subscriptions = subscriptions;
  }

  get all(): readonly PoolInstance[] {
    const owned = [...this.#owned.values()].map(({ entry }) => entry);
    return [...owned, ...this.#retired.keys(), ...this.#closing.keys()];
  }

  get drainingInFlight(): number {
    return [...this.#retired.keys()].reduce((sum, { instance }) => sum + instance.seen.inFlight, 0);
  }

  /** null: the client has no ready instance of its own. */
  ready(client: ClientPort): PoolInstance | null {
    const own = this.#owned.get(client);
    if (own?.entry.isReady !== true) return null;
    own.usedMs = this.#nowMs();
    return own.entry;
  }

  /** Starts an instance if the client has none. Never rejects. */
  async call(
    client: ClientPort,
    limits: WaitLimits,
    run: (entry: PoolInstance, leftMs: number) => Promise<Reply>,
  ): Promise<Reply> {
    if (client.ended.aborted) return errorReply(BACKEND_UNAVAILABLE, "the session has ended");
    if (!this.#owned.has(client) && this.#base !== null) this.#makeRoom();
    const own = this.#owned.get(client) ?? this.#startFor(client);
    if (typeof own === "string") return errorReply(BACKEND_UNAVAILABLE, own);
    return own.waiting.add((leftMs) => run(own.entry, leftMs), limits);
  }

  ensure(client: ClientPort): void {
    if (!this.#owned.has(client)) this.#startFor(client);
  }

  retire(isWanted: (entry: PoolInstance) => boolean, why: DrainReason): void {
    for (const [client, own] of [...this.#owned]) {
      const { entry } = own;
      if (isWanted(entry)) continue;
      const base = NOT_REPLACED.includes(why) ? null : this.#base;
      if (own.waiting.size > 0 && base !== null) {
        // The waiting calls were not sent yet, so they wait for the new instance.
        own.entry = this.#start(client, base);
      } else {
        this.#owned.delete(client);
        // Sends the waiting calls to the draining instance; if that instance is still starting, it holds the calls
        // until it is ready. If the backend is shared again, `run` sends them to the shared instance.
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

  /** Calls in flight get the error. */
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

  /** What a new instance runs; null: none may start. */
  get #base(): InstanceBase | null {
    const { isPerClient, decision, base } = this.#state;
    return isPerClient && decision.calls.kind !== "refuse" ? base : null;
  }

  /** Called when a call was answered, or when an instance has ended. */
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
    const limitMs = tools.settings().drainTimeoutMs;
    const cut = (): void => this.#close(entry, drainMessage(name, why, limitMs));
    this.#retired.set(entry, tools.clock.setTimer(limitMs, cut));
  }

  #end(client: ClientPort, own: Own, message: string): void {
    this.#owned.delete(client);
    own.waiting.fail(message);
    this.#close(own.entry, message);
  }

  /** Ends the instance that was idle for longest: its client has probably left. */
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

  /** Returns the reason as a text if no instance can start. */
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
      waiting: createWaitingCalls(tools.clock, name),
    };
    this.#owned.set(client, own);
    return own;
  }

  #start(client: ClientPort, base: InstanceBase): PoolInstance {
    return this.#state.startInstance(base, client, {
      onChange: (entry) => this.#look(client, entry),
      onListings: () => {},
      onSettled: (entry) => {
        if (this.#retired.has(entry) && entry.instance.seen.inFlight === 0)
          this.#close(entry, `${this.#backend} has ended`);
        this.#settled();
      },
      onDoubt: (entry) => {
        this.#doubted.add(entry);
        entry.instance.check();
      },
    });
  }

  #look(client: ClientPort, entry: PoolInstance): void {
    const { state, missedChecks } = entry.instance.seen;
    const own = this.#owned.get(client);
    if (own?.entry !== entry) return;
    if (state.kind === "ended") {
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
      this.#subscriptions.move(null, entry.instance, client);
      own.waiting.begin();
    }
  }
}

/** The resources to which clients are subscribed, kept for the backend's next instance. */
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

  /** Moves the subscriptions of `client`, or of all clients if it is absent. */
  move(from: BackendInstance | null, to: BackendInstance | null, client?: ClientPort): void {
    if (this.#byClient.size === 0) return;
    const moved = this.#byUri(client);
    to?.adopt(moved);
    for (const [uri, clients] of moved) for (const one of clients) void from?.unsubscribe(uri, one);
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
