// A backend instance that does what a test says, when it says so: becomes ready, ends, answers, hangs.
import assert from "node:assert/strict";
import type { BackendConfig } from "../../../../src/config/snapshot.ts";
import type {
  BackendCall,
  InstanceObservation,
  InstanceOptions,
} from "../../../../src/gateway/backends/instance/backend-instance.ts";
import type {
  BackendInstance,
  StartInstance,
} from "../../../../src/gateway/backends/instance/start-backend-instance.ts";
import type { PoolCall } from "../../../../src/gateway/backends/policy/backend-pool-contract.ts";
import type { TransportFailure } from "../../../../src/gateway/backends/transports/backend-transport.ts";
import { type Listings, NO_LISTINGS, NOT_FRESH } from "../../../../src/gateway/catalog/catalog.ts";
import { ANONYMOUS, type CallHandle, type ClientHandle } from "../../../../src/gateway/client-handle.ts";
import {
  BACKEND_UNAVAILABLE,
  errorReply,
  isError,
  type JsonObject,
  type Reply,
} from "../../../../src/gateway/json-rpc.ts";
import type { McpLogLevel } from "../../../../src/gateway/protocol.ts";

interface Pending {
  readonly call: BackendCall;
  answer(reply: Reply): void;
}

export interface Script {
  readonly start: StartInstance;
  readonly started: readonly ScriptedInstance[];
  /** The one started last. */
  readonly last: ScriptedInstance;
  /** Those that are not closed. */
  readonly alive: readonly ScriptedInstance[];
  /** Forgets what was started; for counting what else is kept. */
  clear(): void;
  /** Closing hangs until it is opened. */
  closeGate: Promise<void> | null;
}

export function listingsOf(...tools: string[]): Listings {
  return { ...NO_LISTINGS, tools: tools.map((name) => ({ name })) };
}

export function createScript(): Script {
  let started: ScriptedInstance[] = [];
  const script: Script = {
    start(options) {
      const instance = new ScriptedInstance(options, script);
      started.push(instance);
      return instance;
    },
    get started() {
      return started;
    },
    get last() {
      const last = started.at(-1);
      assert.ok(last !== undefined, "nothing was started");
      return last;
    },
    get alive() {
      return started.filter(({ isClosed }) => !isClosed);
    },
    clear() {
      started = [];
    },
    closeGate: null,
  };
  return script;
}

export class ScriptedInstance implements BackendInstance {
  readonly id: number;
  readonly pid: number;
  readonly logLines: readonly string[];
  readonly freshness = { tools: NOT_FRESH, prompts: NOT_FRESH, resources: NOT_FRESH };
  readonly calls: BackendCall[] = [];
  readonly pending = new Set<Pending>();
  readonly notified: string[] = [];
  readonly subscribed = new Map<string, Set<ClientHandle>>();
  longWaits: BackendInstance["longWaits"] = null;
  listings: Listings | null = null;
  capabilities: JsonObject = {};
  isClosed = false;
  settledAtMs: number | null = null;
  checks = 0;
  refreshes = 0;
  /** Of its lists; null: nothing is due. */
  reading: Promise<unknown> | null = null;
  level: McpLogLevel | null;
  observed: InstanceObservation;
  readonly options: InstanceOptions;
  readonly #script: Script;
  readonly tasks = new Set<ClientHandle>();

  constructor(options: InstanceOptions, script: Script) {
    const { id, key, clock } = options;
    this.options = options;
    this.#script = script;
    this.id = id;
    this.pid = 1000 + id;
    this.logLines = [`line of ${id}`];
    this.level = options.logLevel;
    this.observed = {
      ...{ id, key, state: { kind: "starting" }, startedAtMs: clock.monotonicMs(), readyAtMs: null },
      ...{ inFlight: 0, missedChecks: 0, checkedAtMs: null, listsStaleBecause: null },
      ...{ withheldEntries: [], requestsRoots: false, oddities: [] },
    };
  }

  get initializeResult() {
    if (this.listings === null) return null;
    const { capabilities } = this;
    const serverInfo = { name: this.options.backend, version: "1" };
    return { protocolVersion: "2025-11-25" as const, capabilities, serverInfo, instructions: null };
  }

  get idleSinceMs(): number | null {
    const isUsed = this.pending.size > 0 || [...this.subscribed.values()].some(({ size }) => size > 0);
    return isUsed ? null : (this.settledAtMs ?? this.observed.readyAtMs);
  }

  get isUsed(): boolean {
    return this.calls.length > 0;
  }

  get subscriptions() {
    return this.subscribed;
  }

  /** An instance that starts holds its requests until it is ready. */
  request(call: BackendCall): Promise<Reply> {
    this.calls.push(call);
    const { kind } = this.observed.state;
    if (kind !== "ready" && kind !== "starting") {
      return Promise.resolve(errorReply(BACKEND_UNAVAILABLE, "instance is not ready"));
    }
    const { promise, resolve } = Promise.withResolvers<Reply>();
    const one: Pending = {
      call,
      answer: (reply) => {
        if (!this.pending.delete(one)) return;
        this.settledAtMs = this.options.clock.monotonicMs();
        this.observed = { ...this.observed, inFlight: this.pending.size };
        resolve(reply);
      },
    };
    this.pending.add(one);
    this.observed = { ...this.observed, inFlight: this.pending.size };
    return promise;
  }

  notify(method: string): void {
    this.notified.push(method);
  }

  check(): void {
    this.checks++;
  }

  refresh(): void {
    this.refreshes++;
  }

  readDueLists(): Promise<unknown> | null {
    return this.reading;
  }

  remainingMs(): number {
    return 0;
  }

  setLogLevel(level: McpLogLevel | null): void {
    this.level = level;
  }

  async subscribe(uri: string, client: ClientHandle): Promise<Reply> {
    this.adopt(new Map([[uri, new Set([client])]]));
    return { result: {} };
  }

  async watchTask(): Promise<Reply> {
    return { result: {} };
  }

  adopt(others: ReadonlyMap<string, ReadonlySet<ClientHandle>>): void {
    for (const [uri, clients] of others) {
      const known = this.subscribed.get(uri) ?? new Set<ClientHandle>();
      for (const client of clients) known.add(client);
      this.subscribed.set(uri, known);
    }
  }

  async unsubscribe(uri: string, client: ClientHandle): Promise<Reply> {
    this.subscribed.get(uri)?.delete(client);
    return { result: {} };
  }

  hasTaskOf(client: ClientHandle): boolean {
    return this.tasks.has(client);
  }

  forget(client: ClientHandle): void {
    for (const clients of this.subscribed.values()) clients.delete(client);
    for (const one of [...this.pending]) {
      if (one.call.handle?.client === client) one.answer(errorReply(BACKEND_UNAVAILABLE, "cancelled"));
    }
  }

  async close({ message }: { readonly message: string }): Promise<void> {
    this.isClosed = true;
    this.answer(errorReply(BACKEND_UNAVAILABLE, message));
    if (this.observed.state.kind !== "ended") this.see({ state: { kind: "closing" } });
    await this.#script.closeGate;
  }

  becomeReady(...tools: string[]): void {
    this.listings = listingsOf(...tools);
    this.see({ state: { kind: "ready" }, readyAtMs: this.options.clock.monotonicMs() });
  }

  endWith(message: string, hint: string | null = null): void {
    this.failWith({ kind: "closed", message, hint });
  }

  failWith(failure: TransportFailure): void {
    this.see({ state: { kind: "ended", wasReady: this.observed.state.kind === "ready", failure } });
    this.answer(errorReply(BACKEND_UNAVAILABLE, failure.message));
  }

  /** Answers all calls in flight. */
  answer(reply: Reply = { result: { from: this.id } }): void {
    for (const one of [...this.pending]) one.answer(reply);
  }

  list(...tools: string[]): void {
    this.listings = listingsOf(...tools);
    this.options.onListings();
  }

  see(change: Partial<InstanceObservation>): void {
    this.observed = { ...this.observed, ...change };
    this.options.onObserved();
  }
}

const NO_FILTER = { allow: null, deny: [] } as const;

export function backendConfig(
  name: string,
  change: Partial<BackendConfig> & { command?: string } = {},
): BackendConfig {
  const { command = "server", ...rest } = change;
  return {
    name,
    enabled: true,
    group: null,
    connection: { type: "stdio", command, args: [], env: {}, cwd: "/" },
    timeouts: { initMs: 15_000, listMs: 10_000, callMs: 60_000 },
    filters: { tools: NO_FILTER, resources: NO_FILTER, prompts: NO_FILTER },
    toolOverrides: {},
    instances: "shared",
    start: "always",
    stopWhenIdleMs: false,
    replace: "overlap",
    pin: null,
    requires: [],
    unavailableAfterMs: 5_000,
    whenUnavailable: "hide",
    ...rest,
  };
}

export interface TestClient extends ClientHandle {
  busy: boolean;
  end(): void;
}

export function createClient(sessionId: string): TestClient {
  const ended = new AbortController();
  return {
    sessionId,
    principal: ANONYMOUS,
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: {},
    group: null,
    logLevel: null,
    busy: false,
    ended: ended.signal,
    notify() {},
    request: () => Promise.resolve({ result: {} }),
    end: () => ended.abort(),
  };
}

export function callOf(client: ClientHandle | null = null, signal = new AbortController().signal): PoolCall {
  const handle: CallHandle | null =
    client === null
      ? null
      : { client, id: 1, notify() {}, request: () => Promise.resolve({ result: {} }), congested: null };
  return { method: "tools/call", params: { name: "t" }, handle, signal };
}

export function errorText(reply: Reply): string {
  assert.ok(isError(reply), "no error");
  return reply.error.message;
}

export function fromInstance(reply: Reply): unknown {
  assert.ok(!isError(reply), "an error");
  return reply.result["from"];
}
