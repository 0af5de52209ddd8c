// One backend: its instances, the lane that decides about them, and the way of a call to the one that serves.
import { isDeepStrictEqual } from "node:util";
import type { BackendConfig } from "../../../config/snapshot.ts";
import type { CatalogSource } from "../../catalog/catalog.ts";
import type { ClientPort } from "../../client-port.ts";
import type { JsonObject, Reply } from "../../json-rpc.ts";
import type { McpLogLevel } from "../../protocol.ts";
import type { BackendInstance } from "../instance/backend-instance.ts";
import type { BackendInitializeResult, BackendView, PoolCall } from "../policy/backend-pool-contract.ts";
import type { LaneTools } from "./backend-lane-contract.ts";
import { backendView, inFlightOf } from "./backend-lane-news.ts";
import { ClientInstances } from "./client-instances.ts";
import { resolveConnection } from "./connection-key.ts";
import { LaneCalls } from "./lane-calls.ts";
import { LaneCycles } from "./lane-cycles.ts";
import { SharedInstances } from "./lane-instances.ts";
import { Published } from "./lane-published.ts";
import { LaneState } from "./lane-state.ts";
import { createPoolSubscriptions } from "./subscriptions.ts";
import { createWaitingCalls, type WaitingCalls } from "./waiting-calls.ts";

export class BackendLane {
  readonly #state: LaneState;
  readonly #waiting: WaitingCalls;
  readonly #subscriptions = createPoolSubscriptions();
  readonly #own: ClientInstances;
  readonly #published: Published;
  readonly #shared: SharedInstances;
  readonly #cycles: LaneCycles;
  readonly #calls: LaneCalls;

  constructor(tools: LaneTools, name: string, config: BackendConfig) {
    const state = new LaneState(tools, name, config, {
      run: () => this.#cycles.run(),
      onChanged: () => tools.onChanged(name),
    });
    const subscriptions = this.#subscriptions;
    const waiting = createWaitingCalls(tools.clock, name);
    const own = new ClientInstances(state, subscriptions);
    const published = new Published(state, subscriptions, own);
    const shared = new SharedInstances(state, published);
    this.#state = state;
    this.#waiting = waiting;
    this.#own = own;
    this.#published = published;
    this.#shared = shared;
    this.#cycles = new LaneCycles({ state, waiting, own, shared, published });
    this.#calls = new LaneCalls({ state, waiting, subscriptions, own, published });
    this.configure(config);
  }

  get name(): string {
    return this.#state.name;
  }

  /** What is published of it; null: nothing. The same object until it changes. */
  get source(): CatalogSource | null {
    return this.#published.source;
  }

  /** No first attempt is under way or due. */
  get isSettled(): boolean {
    const { isWanted, decision } = this.#state;
    if (this.#cycles.isDue) return false;
    return !isWanted || (decision.phase !== "Pending" && decision.phase !== "Initializing");
  }

  /** It is not configured, and nothing is left of it. */
  get isGone(): boolean {
    return !this.#state.isConfigured && this.#instances.length === 0;
  }

  get inFlight(): number {
    return inFlightOf(this.#instances);
  }

  /** What the server answered to `initialize`; null: nothing of it is published. */
  get initializeResult(): BackendInitializeResult | null {
    return this.#published.initializeResult;
  }

  /** Null: it is not configured any more. What needs no connection takes effect in this call. */
  configure(next: BackendConfig | null): void {
    const state = this.#state;
    const { config: before, isConfigured, tools } = state;
    if (next === null ? !isConfigured : isConfigured && isDeepStrictEqual(next, before)) return;
    state.isConfigured = next !== null;
    if (next !== null) {
      state.config = next;
      state.outcome = resolveConnection(next.connection, tools.environment);
      if (state.outcome.ok) state.outcome.secrets.forEach(tools.redact);
      this.#published.applyShape();
    }
    state.revision++;
    this.#cycles.isDue = true;
    if (!state.isWanted) {
      this.#own.retire(() => false, state.isConfigured ? "disabled" : "removed");
      this.#waiting.fail(state.unavailable);
      this.#subscriptions.clear();
    } else this.#published.changeInstances(before.instances);
    this.#published.publish();
    state.trigger("config");
  }

  /** What holds for all backends has changed. */
  lookAgain(): void {
    this.#state.trigger("config");
  }

  /** Never rejects. */
  call(call: PoolCall): Promise<Reply> {
    return this.#calls.call(call);
  }

  subscribe(uri: string, client: ClientPort): Promise<Reply> {
    return this.#calls.subscribe(uri, client);
  }

  unsubscribe(uri: string, client: ClientPort): Promise<Reply> {
    return this.#calls.unsubscribe(uri, client);
  }

  notifyOwn(client: ClientPort, method: string, params: JsonObject | undefined): void {
    if (this.#state.isPerClient) this.#own.ready(client)?.instance.notify(method, params);
  }

  setLogLevel(level: McpLogLevel | null): void {
    for (const instance of this.#instances) instance.setLogLevel(level);
  }

  forget(client: ClientPort): void {
    this.#subscriptions.forget(client);
    for (const { instance } of this.#shared.instances.values()) instance.forget(client);
    this.#own.forget(client);
  }

  view(): BackendView {
    return backendView(this.#state, this.#shared, this.#own);
  }

  restart(): void {
    const state = this.#state;
    if (!state.isWanted) return;
    state.epoch++;
    state.revision++;
    this.#cycles.isDue = true;
    state.trigger("user");
  }

  logLines(): readonly string[] {
    return this.#shared.logLines();
  }

  /** Takes no more calls and no more steps; those in flight go on. */
  stop(message: string): void {
    if (this.#state.stopped !== null) return;
    this.#state.stop(message);
    this.#waiting.fail(message);
  }

  /** Ends every instance: calls in flight get the error. */
  async close(message: string): Promise<void> {
    await Promise.all([this.#shared.close(message), this.#own.close(message)]);
  }

  get #instances(): readonly BackendInstance[] {
    return [...this.#shared.instances.values(), ...this.#own.all].map(({ instance }) => instance);
  }
}
