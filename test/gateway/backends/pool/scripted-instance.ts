// A backend instance that does what a test says, when it says so: becomes ready, ends, answers, hangs.
import assert from "node:assert/strict";
import type { BackendConfig } from "../../../../src/config/snapshot.ts";
import type {
  BackendCall,
  InstanceOptions,
  InstanceSeen,
} from "../../../../src/gateway/backends/instance/backend-instance.ts";
import type {
  BackendInstance,
  StartInstance,
} from "../../../../src/gateway/backends/instance/start-backend-instance.ts";
import type { LinkFailure } from "../../../../src/gateway/backends/links/backend-link.ts";
import type { PoolCall } from "../../../../src/gateway/backends/policy/backend-pool-contract.ts";
import { type Listings, NO_LISTINGS } from "../../../../src/gateway/catalog/catalog.ts";
import { ANONYMOUS, type CallPort, type ClientPort } from "../../../../src/gateway/client-port.ts";
import { BACKEND_UNAVAILABLE, errorReply, isError, type Reply } from "../../../../src/gateway/json-rpc.ts";
import type { McpLogLevel } from "../../../../src/gateway/protocol.ts";

interface Pending {
  readonly call: BackendCall;
  answer(reply: Reply): void;
}

export interface ScriptedInstance extends BackendInstance {
  readonly options: InstanceOptions;
  readonly calls: readonly BackendCall[];
  readonly pending: ReadonlySet<Pending>;
  readonly notified: readonly string[];
  readonly subscribed: ReadonlyMap<string, ReadonlySet<ClientPort>>;
  readonly isClosed: boolean;
  readonly checks: number;
  readonly refreshes: number;
  readonly level: McpLogLevel | null;
  becomeReady(...tools: string[]): void;
  endWith(message: string, hint?: string): void;
  failWith(failure: LinkFailure): void;
  /** Answers all that is in flight. */
  answer(result?: Reply): void;
  list(...tools: string[]): void;
  see(change: Partial<InstanceSeen>): void;
  longWaits: BackendInstance["longWaits"];
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
      const instance = createInstance(options, script);
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

function createInstance(options: InstanceOptions, script: Script): ScriptedInstance {
  const { clock } = options;
  const pending = new Set<Pending>();
  const calls: BackendCall[] = [];
  const notified: string[] = [];
  const subscribed = new Map<string, Set<ClientPort>>();
  let listings: Listings | null = null;
  let isClosed = false;
  let checks = 0;
  let refreshes = 0;
  let level = options.logLevel;
  let seen: InstanceSeen = {
    id: options.id,
    key: options.key,
    state: { kind: "starting" },
    startedAtMs: clock.monotonicMs(),
    readyAtMs: null,
    inFlight: 0,
    missedChecks: 0,
    checkedAtMs: null,
    listsStaleBecause: null,
    withheldEntries: [],
    asksForRoots: false,
  };
  const see = (change: Partial<InstanceSeen>): void => {
    seen = { ...seen, ...change };
    options.onSeen();
  };
  const failAll = (message: string): void => {
    for (const one of [...pending]) one.answer(errorReply(BACKEND_UNAVAILABLE, message));
  };
  return {
    id: options.id,
    options,
    get seen() {
      return seen;
    },
    get listings() {
      return listings;
    },
    freshness: {},
    longWaits: null,
    get initializeResult() {
      if (listings === null) return null;
      const serverInfo = { name: options.backend, version: "1" };
      return { protocolVersion: "2025-11-25" as const, capabilities: {}, serverInfo, instructions: null };
    },
    pid: 1000 + options.id,
    logLines: [`line of ${options.id}`],
    calls,
    pending,
    notified,
    subscribed,
    get isClosed() {
      return isClosed;
    },
    get checks() {
      return checks;
    },
    get refreshes() {
      return refreshes;
    },
    get level() {
      return level;
    },
    request(call) {
      calls.push(call);
      // One that is starting holds what it is asked until it is ready.
      if (seen.state.kind !== "ready" && seen.state.kind !== "starting") {
        return Promise.resolve(errorReply(BACKEND_UNAVAILABLE, "instance is not ready"));
      }
      return new Promise((resolve) => {
        const one: Pending = {
          call,
          answer(reply) {
            if (!pending.delete(one)) return;
            seen = { ...seen, inFlight: pending.size };
            resolve(reply);
          },
        };
        pending.add(one);
        seen = { ...seen, inFlight: pending.size };
      });
    },
    notify(method) {
      notified.push(method);
    },
    check() {
      checks++;
    },
    refresh() {
      refreshes++;
    },
    setLogLevel(next) {
      level = next;
    },
    subscribe(uri, client) {
      const clients = subscribed.get(uri) ?? new Set<ClientPort>();
      subscribed.set(uri, clients.add(client));
      return Promise.resolve({ result: {} });
    },
    async watchTask() {
      return { result: {} };
    },
    subscriptions: subscribed,
    adopt(others) {
      for (const [uri, clients] of others) {
        const known = subscribed.get(uri) ?? new Set<ClientPort>();
        for (const client of clients) known.add(client);
        subscribed.set(uri, known);
      }
    },
    unsubscribe(uri, client) {
      subscribed.get(uri)?.delete(client);
      return Promise.resolve({ result: {} });
    },
    forget(client) {
      for (const clients of subscribed.values()) clients.delete(client);
      for (const one of [...pending]) {
        if (one.call.port?.client === client) one.answer(errorReply(BACKEND_UNAVAILABLE, "cancelled"));
      }
    },
    async close({ message }) {
      isClosed = true;
      failAll(message);
      if (seen.state.kind !== "ended") see({ state: { kind: "closing" } });
      await script.closeGate;
    },
    becomeReady(...tools) {
      listings = listingsOf(...tools);
      see({ state: { kind: "ready" }, readyAtMs: clock.monotonicMs() });
    },
    endWith(message, hint) {
      this.failWith({ kind: "closed", message, hint: hint ?? null });
    },
    failWith(failure) {
      const wasReady = seen.state.kind === "ready";
      see({ state: { kind: "ended", wasReady, failure } });
      failAll(failure.message);
    },
    answer(reply = { result: { from: options.id } }) {
      for (const one of [...pending]) one.answer(reply);
    },
    list(...tools) {
      listings = listingsOf(...tools);
      options.onListings();
    },
    see,
  };
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
    replace: "overlap",
    pin: null,
    requires: [],
    unavailableAfterMs: 5_000,
    whenUnavailable: "hide",
    ...rest,
  };
}

export interface TestClient extends ClientPort {
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

export function callOf(client: ClientPort | null = null, signal = new AbortController().signal): PoolCall {
  const port: CallPort | null =
    client === null
      ? null
      : { client, id: 1, notify() {}, request: () => Promise.resolve({ result: {} }), congested: null };
  return { method: "tools/call", params: { name: "t" }, port, signal };
}

export function errorText(reply: Reply): string {
  assert.ok(isError(reply), "no error");
  return reply.error.message;
}

export function fromInstance(reply: Reply): unknown {
  assert.ok(!isError(reply), "an error");
  return reply.result["from"];
}
