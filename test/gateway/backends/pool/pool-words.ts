// The words of stories about a pool of scripted instances. Instances have numbers in the order of their starts; what happens to
// one without a number happens to the last. Calls have names, so that it can be asked later what became of them.
import assert from "node:assert/strict";
import type { BackendConfig } from "../../../../src/config/snapshot.ts";
import { ListCache } from "../../../../src/gateway/backends/list-cache/list-cache.ts";
import { transportFailure } from "../../../../src/gateway/backends/transports/backend-transport.ts";
import { errorReply, isError, REQUEST_TIMEOUT, type Reply } from "../../../../src/gateway/json-rpc.ts";
import { noopLogger } from "../../../../src/runtime/log/log.ts";
import { createManualClock, settle } from "../../../support/manual-clock.ts";
import { type Act, type Fact, tellStories, type Words } from "../../../support/stories.ts";
import {
  type Bench,
  bench,
  CHANGED,
  CORE,
  type DataBench,
  dataBench,
  ready,
  readyOn,
  starting,
} from "./backend-pool-bench.ts";
import {
  backendConfig,
  callOf,
  createClient,
  type ScriptedInstance,
  type TestClient,
} from "./scripted-instance.ts";

interface World {
  readonly b: Bench;
  /** The share that it requires. */
  readonly share: DataBench | null;
  readonly clients: Map<string, TestClient>;
  readonly calls: Map<string, Reply | null>;
  readonly cancels: Map<string, AbortController>;
  /** What was published, each time. */
  readonly published: string[];
  ended: boolean;
  open: (() => void) | null;
}

const needing = (variable: string): BackendConfig => {
  const env = { T: [{ kind: "environment", variable }] } as const;
  return backendConfig("a", { connection: { type: "stdio", command: "x", args: [], env, cwd: "/" } });
};
/** Of a server that sleeps. */
export const IDLE_MS = 60_000;
export const NEEDED = { start: "on-demand" } as const;
const STOPPED = { ...NEEDED, stopWhenIdleMs: IDLE_MS } as const;
const ANY = { allow: null, deny: [] } as const;
const once = { replace: "stop-first", timeouts: { initMs: 1, listMs: 1, callMs: 5_000 } } as const;

/** All that is applied by name; another name is a backend of that name. */
const CONFIGS: Readonly<Record<string, BackendConfig>> = {
  changed: CHANGED,
  third: backendConfig("a", { command: "third" }),
  off: backendConfig("a", { enabled: false }),
  first: backendConfig("a", { replace: "stop-first" }),
  "first-changed": backendConfig("a", { replace: "stop-first", command: "other" }),
  brief: backendConfig("a", once),
  "brief-changed": backendConfig("a", { ...once, command: "other" }),
  "needs-one": needing("ONE"),
  "needs-two": needing("TWO"),
  "needs-token": needing("TOKEN"),
  core: backendConfig("a", { requires: [CORE] }),
  "core-dev": backendConfig("a", { requires: [CORE, { share: "CORE", folder: "dev" }] }),
  "core-off": backendConfig("a", { requires: [CORE], enabled: false }),
  "core-first": backendConfig("a", { requires: [CORE], replace: "stop-first" }),
  "core-first-off": backendConfig("a", { requires: [CORE], replace: "stop-first", enabled: false }),
  own: backendConfig("a", { instances: "per-client" }),
  "own-changed": { ...CHANGED, instances: "per-client" },
  "own-off": backendConfig("a", { instances: "per-client", enabled: false }),
  needed: backendConfig("a", NEEDED),
  "needed-other": backendConfig("a", { ...NEEDED, command: "other" }),
  "needed-without-two": backendConfig("a", {
    ...NEEDED,
    filters: { tools: { allow: null, deny: ["two"] }, resources: ANY, prompts: ANY },
  }),
  "needed-remote": backendConfig("a", {
    ...NEEDED,
    connection: { type: "streamable-http", url: "http://127.0.0.1:9/", headers: {} },
  }),
  stops: backendConfig("a", { stopWhenIdleMs: IDLE_MS }),
  "stops-first": backendConfig("a", { ...STOPPED, replace: "stop-first" }),
  remote: backendConfig("a", {
    connection: { type: "streamable-http", url: "https://far.example:1/mcp?key=k3y", headers: {} },
  }),
};

const configsOf = (names = ""): BackendConfig[] =>
  names === "nothing" ? [] : names.split(" ").map((name) => CONFIGS[name] ?? backendConfig(name));

export const newListCache = (): ListCache =>
  new ListCache({ clock: createManualClock(), logger: noopLogger });

/** What an earlier run has left. */
async function remembers(...tools: string[]): Promise<ListCache> {
  const remembered = newListCache();
  const b = bench({}, { remembered });
  await b.applied(backendConfig("a"));
  await b.comesUp(...tools);
  await b.pool[Symbol.asyncDispose]();
  return remembered;
}

/** It had listed these tools, and is applied; nothing has followed from it yet. */
export async function begun(change: Parameters<typeof backendConfig>[1], ...tools: string[]): Promise<Bench> {
  const b = bench({}, { remembered: await remembers(...tools) });
  b.apply(backendConfig("a", change));
  return b;
}

async function running(): Promise<Bench> {
  const b = await begun(STOPPED, "one");
  await settle();
  const call = b.call();
  await settle();
  await b.comesUp("one");
  await b.answered(call);
  return b;
}

const worldOf = (b: Bench, share: DataBench | null = null): World => {
  const published: string[] = [];
  b.pool.onPublished(() => published.push(b.names().join(" ")));
  return {
    b,
    share,
    clients: new Map(),
    calls: new Map(),
    cancels: new Map(),
    published,
    ended: false,
    open: null,
  };
};

function clientOf({ clients }: World, name = ""): TestClient {
  const client = clients.get(name) ?? createClient(name);
  clients.set(name, client);
  return client;
}

function instance({ b }: World, nth?: string): ScriptedInstance {
  return nth === undefined ? b.script.last : (b.script.started[Number(nth) - 1] ?? assert.fail(`no ${nth}`));
}

/** `act`, and what follows from it at once. */
const then =
  (act: (world: World, ...groups: (string | undefined)[]) => unknown) =>
  async (world: World, ...groups: (string | undefined)[]): Promise<void> => {
    act(world, ...groups);
    await settle();
  };

const shareOf = ({ share }: World): DataBench => share ?? assert.fail("it requires no share");

const acts: readonly Act<World>[] = [
  [/^applied (.*)$/, then(({ b }, names) => b.apply(...configsOf(names)))],
  [/^at once applied (.*)$/, ({ b }, names) => b.apply(...configsOf(names))],
  [
    /^(?:(\d) )?up ?(.*)$/,
    then((world, nth, tools = "") => instance(world, nth).becomeReady(...tools.split(" ").filter(Boolean))),
  ],
  [/^at once dies "(.*)"$/, (world, text = "") => instance(world).endWith(text)],
  [
    /^(?:(\d) )?dies "(.*?)"(?: hint "(.*)")?$/,
    then((world, nth, text = "", hint) => instance(world, nth).endWith(text, hint)),
  ],
  [/^(\d+) ms$/, ({ b }, ms) => b.clock.advance(Number(ms))],
  [/^(\d+) s$/, ({ b }, seconds) => b.clock.advance(Number(seconds) * 1_000)],
  [
    /^call (\w+)(?: of (\w+))?(?: by (\w+))?$/,
    then((world, name = "", backend = "a", by) => {
      const { b, calls, cancels } = world;
      const cancel = new AbortController();
      calls.set(name, null);
      cancels.set(name, cancel);
      const client = by === undefined ? null : clientOf(world, by);
      void b.pool.call(backend, callOf(client, cancel.signal)).then((reply) => calls.set(name, reply));
    }),
  ],
  [/^cancel (\w+)$/, then(({ cancels }, name = "") => cancels.get(name)?.abort())],
  [
    /^fails with "(.*)"$/,
    then(({ b }, text = "") => b.script.last.answer(errorReply(REQUEST_TIMEOUT, text))),
  ],
  [/^share goes(?: "(.*)")?$/, (world, reason) => shareOf(world).leave(reason)],
  [/^share comes(?: as (\d))?$/, (world, mounts) => shareOf(world).come(mounts)],
  [/^share (moves|is taken)$/, (world, how) => shareOf(world).move(how === "moves" ? "asked" : "taken")],
  [/^(?:(\d) )?answers$/, then((world, nth) => instance(world, nth).answer())],
  [
    /^(\d) calls(?: by (\w+))? (time out|are answered)$/,
    async (world, count, by, how) => {
      const { b } = world;
      const reply = how === "time out" ? errorReply(REQUEST_TIMEOUT, "too slow") : { result: {} };
      for (let call = 0; call < Number(count); call++) {
        const answer = b.pool.call("a", callOf(by === undefined ? null : clientOf(world, by)));
        b.script.last.answer(reply);
        await answer;
      }
      await settle();
    },
  ],
  [
    /^(?:(\d) )?missed (\d)$/,
    then((world, nth, missed) =>
      instance(world, nth).see({ missedChecks: Number(missed), checkedAtMs: world.b.clock.monotonicMs() }),
    ),
  ],
  [
    /^(\d) answers its first call$/,
    then((world, nth) => [...instance(world, nth).pending][0]?.answer({ result: { from: Number(nth) } })),
  ],
  [
    /^(\w+) (leaves|ends)$/,
    then((world, name, how) =>
      how === "ends" ? clientOf(world, name).end() : world.b.pool.forget(clientOf(world, name)),
    ),
  ],
  [
    /^(\w+) (un)?subscribes$/,
    then((world, name, un) =>
      world.b.pool[un === undefined ? "subscribe" : "unsubscribe"]("a", "file:///x", clientOf(world, name)),
    ),
  ],
  [
    /^(\w+) notifies( of what it may not see)?$/,
    (world, name, unseen) =>
      world.b.pool.notifyOwn(
        clientOf(world, name),
        "notifications/roots/list_changed",
        undefined,
        () => unseen === undefined,
      ),
  ],
  [
    /^exits in order$/,
    then(({ b }) => {
      const failure = { ...transportFailure("closed", "ended with exit code 0"), isOrderly: true as const };
      b.script.last.see({ state: { kind: "ended", wasReady: true, failure, wasIdle: true } });
    }),
  ],
  [/^settled$/, ({ b }) => b.pool.whenStarted(new AbortController().signal)],
  [/^was checked$/, then(({ b }) => b.script.last.see({ checkedAtMs: b.clock.monotonicMs() }))],
  [
    /^(tools|prompts) cannot be listed$/,
    then(({ b }, kind) =>
      b.script.last.see({ listsStaleBecause: `${kind}/list was answered with an error` }),
    ),
  ],
  [/^all is listed$/, then(({ b }) => b.script.last.see({ listsStaleBecause: null }))],
  [/^(?:(\d) )?lists (.*)$/, (world, nth, tools = "") => instance(world, nth).list(...tools.split(" "))],
  [/^restarted$/, then(({ b }) => assert.ok(b.pool.restart("a")))],
  [/^not restarted$/, then(({ b }) => assert.ok(!b.pool.restart("a")))],
  [
    /^a close hangs$/,
    (world) => {
      const gate = Promise.withResolvers<void>();
      world.b.script.closeGate = gate.promise;
      world.open = gate.resolve;
    },
  ],
  [/^it is closed$/, then(({ open }) => open?.())],
  [
    /^ending$/,
    then((world) => {
      void world.b.pool[Symbol.asyncDispose]().then(() => {
        world.ended = true;
      });
    }),
  ],
];

const replyOf = ({ calls }: World, name = ""): Reply | null => calls.get(name) ?? null;

const facts: readonly Fact<World>[] = [
  [/^(?:no names|names (.*))$/, ({ b }, names = "") => [b.names().join(" "), names]],
  [/^published (.*)$/, ({ published }, names) => [published.join(" then "), names]],
  [
    /^(?:(\w+) is )?(Pending|Initializing|Ready|Degraded|Failed|ShuttingDown|Asleep)$/,
    ({ b }, name, phase) => [b.view(name).phase, phase],
  ],
  [/^(?:no conditions|condition (\S+))$/, ({ b }, code) => [b.codes(), code === undefined ? [] : [code]]],
  [
    /^says \/(.*)\/$/,
    ({ b }, text = "") => [new RegExp(text).test(b.view().conditions[0]?.title ?? ""), true],
  ],
  [
    /^hints? "(.*)"$/,
    ({ b }, hint) => [
      b
        .view()
        .conditions.map((each) => each.hint)
        .join(),
      hint,
    ],
  ],
  [/^(\d+) starts?$/, ({ b }, count) => [b.starts(), Number(count)]],
  [/^(\d) instances?$/, ({ b }, count) => [b.view().instances, Number(count)]],
  [/^(\d) drains?$/, ({ b }, count) => [b.view().draining, Number(count)]],
  [/^(\d) counted restarts?$/, ({ b }, count) => [b.view().restarts, Number(count)]],
  [
    /^next try in (\d+) s$/,
    ({ b }, seconds) => [b.view().retryAtMs, b.clock.wallMs() + Number(seconds) * 1_000],
  ],
  [/^nothing in view$/, ({ b }) => [b.pool.view(), []]],
  [/^(\d|no) timers$/, ({ b }, count) => [b.clock.pendingTimers, count === "no" ? 0 : Number(count)]],
  [
    /^(\d) is of (\w+)$/,
    (world, nth, name) => [instance(world, nth).options.owner?.sessionId ?? "nobody", name],
  ],
  [/^(\d) runs (\w+)$/, (world, nth, command) => [world.b.program(instance(world, nth)), command]],
  [
    /^(\w+) is (not )?subscribed at (\d)$/,
    (world, name, not, nth) => [
      instance(world, nth).subscribed.get("file:///x")?.has(clientOf(world, name)) === true,
      not === undefined,
    ],
  ],
  [/^(\d) heard (\d)$/, (world, nth, count) => [instance(world, nth).notified.length, Number(count)]],
  [
    /^it begins with what is published$/,
    ({ b }) => [b.script.last.options.listings === b.pool.published[0]?.listings, true],
  ],
  [/^(\d) is (open|closed)$/, (world, nth, how) => [instance(world, nth).isClosed, how === "closed"]],
  [/^(?:(\d) )?(\d) checks?$/, (world, nth, count) => [instance(world, nth).checks, Number(count)]],
  [/^(\d) refresh(?:es)?$/, ({ b }, count) => [b.script.last.refreshes, Number(count)]],
  [/^(\w+) waits$/, (world, name) => [replyOf(world, name), null]],
  [
    /^(\w+) is from (\d)$/,
    (world, name, from) => {
      const reply = replyOf(world, name);
      return [reply !== null && !isError(reply) ? reply.result["from"] : reply, Number(from)];
    },
  ],
  [
    // With "…" where the text goes on.
    /^(\w+) fails "(…)?(.*?)(…)?"$/,
    (world, name, before, text = "", after) => {
      const reply = replyOf(world, name);
      const message = reply !== null && isError(reply) ? reply.error.message : "no error";
      const at = message.indexOf(text);
      const from = before === undefined ? 0 : Math.max(at, 0);
      return [message.slice(from, after === undefined ? undefined : from + text.length), text];
    },
  ],
  [
    /^(?:(\d) )?was given (\d+) ms$/,
    (world, nth, ms) => [instance(world, nth).calls[0]?.timeoutMs, Number(ms)],
  ],
  [
    /^events (.*)$/,
    ({ b }, names) => [
      b
        .events()
        .map((name) => name.replace("backend.", ""))
        .join(" "),
      names,
    ],
  ],
  [
    /^(\d) times event (\w+)$/,
    ({ b }, count, event) => [b.events().filter((name) => name === `backend.${event}`).length, Number(count)],
  ],
  [
    /^drained (\d+) ms with (\d) cut$/,
    ({ b }, ms, cut) => [
      b.told.flatMap((one) => (one.name === "backend.drained" ? [[one.took_ms, one.cut]] : [])),
      [[Number(ms), Number(cut)]],
    ],
  ],
  [/^log "(.*)"$/, ({ b }, lines) => [b.pool.logLines("a")?.join(" | "), lines]],
  [
    /^(nobody|\w+) is introduced$/,
    ({ b }, name) => [b.pool.initializeResults()[0]?.backend ?? "nobody", name],
  ],
  [
    /^phases "(.*)"$/,
    ({ b }, phases) => [
      b.told.flatMap((one) => (one.name === "backend.phase" ? [`${one.to}: ${one.reason}`] : [])).join(" | "),
      phases,
    ],
  ],
  [
    /^hides (\w+)$/,
    ({ b }, secret = "") => [
      [b.redacted, b.script.last.options.key.includes(secret)],
      [[secret], false],
    ],
  ],
  [/^(?:(\d) )?has (\d) calls?$/, (world, nth, count) => [instance(world, nth).calls.length, Number(count)]],
  [/^no list changed$/, ({ published }) => [published, []]],
  [/^reason "(.*)"$/, ({ b }, reason) => [b.view().reason, reason]],
  [/^nothing is alive$/, ({ b }) => [b.script.alive, []]],
  [/^(?:nothing|(\d+)) runs on it$/, (world, pid) => [shareOf(world).running().join(), pid ?? ""]],
  [/^has ended$/, ({ ended }) => [ended, true]],
];

const ON_CORE: Readonly<Record<string, Partial<BackendConfig>>> = {
  "a server on CORE": {},
  "one that shows errors on CORE": { whenUnavailable: "error" },
  "one that stops on CORE": { whenUnavailable: "stop" },
  "one for each client on CORE": { instances: "per-client" },
  "one for each client that stops on CORE": { instances: "per-client", whenUnavailable: "stop" },
  "a stop-first server on CORE": { replace: "stop-first" },
  "a brief server on CORE": { timeouts: { initMs: 15_000, listMs: 10_000, callMs: 3_000 } },
  "a remote server on CORE": {
    connection: { type: "streamable-http", url: "http://127.0.0.1:9/mcp", headers: {} },
  },
};

const WORDS: Words<World> = {
  starts: {
    ...Object.fromEntries(
      Object.entries(ON_CORE).map(([name, change]) => [
        name,
        async () => {
          const share = await readyOn(change);
          return worldOf(share, share);
        },
      ]),
    ),
    "a server without CORE": async () => {
      const share = dataBench({}, "away");
      await settle();
      return worldOf(share, share);
    },
    "a pool": () => worldOf(bench()),
    "a pool with a token": () => worldOf(bench({ TOKEN: "s3cret" })),
    "a server": async () => worldOf(await ready()),
    "a server that starts": async () => worldOf(await starting()),
    "a server for each client": async () => worldOf(await ready(CONFIGS["own"])),
    "one that was listed": async () => worldOf(await begun({}, "one")),
    "another program than was listed": async () => worldOf(await begun({ command: "other" }, "one")),
    "one on demand": async () => worldOf(bench({}, { remembered: newListCache() })),
    "one on demand that was listed": async () => worldOf(await begun(NEEDED, "one")),
    "one on demand that was listed with two": async () => worldOf(await begun(NEEDED, "one", "two")),
    "one for each client that was listed and may stop": async () =>
      worldOf(await begun({ ...STOPPED, instances: "per-client" }, "one")),
    "one that may stop": async () => worldOf(await running()),
    "a stop-first server": async () => worldOf(await ready(CONFIGS["first"])),
    "a brief server": async () => worldOf(await ready(CONFIGS["brief"])),
  },
  acts,
  facts,
};

export const stories = (text: string): void => tellStories(WORDS, text);
