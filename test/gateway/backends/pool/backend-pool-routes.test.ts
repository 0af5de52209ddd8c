// A backend with three routes, real processes all of them, each cut in turn while calls run.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { BackendRoute } from "../../../../src/config/snapshot.ts";
import type { RoutesView } from "../../../../src/gateway/backends/policy/backend-pool-contract.ts";
import type { FailbackPolicy } from "../../../../src/gateway/backends/policy/route-memory.ts";
import type { RouteOverrides } from "../../../../src/gateway/backends/pool/backend-contract.ts";
import type { ClientHandle } from "../../../../src/gateway/client-handle.ts";
import { errorReply, isError, type Reply } from "../../../../src/gateway/json-rpc.ts";
import { assertEach } from "../../../support/assert-each.ts";
import { eventually } from "../../../support/eventually.ts";
import { freePort } from "../../../support/free-port.ts";
import { settle } from "../../../support/manual-clock.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import { NO_SECOND_ADDRESS } from "../../../support/where.ts";
import { bench } from "./backend-pool-bench.ts";
import { PATIENT, POOL_SERVER, startRealPool } from "./real-pool.ts";
import { backendConfig, callOf, createClient, errorText, fromInstance } from "./scripted-instance.ts";

const AUTO: FailbackPolicy = { isAutomatic: true, stableMs: 1_000 };
const BY_HAND: FailbackPolicy = { isAutomatic: false, stableMs: 300 };
/** Of one caller: a route is waited for for seconds. */
const BETWEEN_CALLS_MS = 20;
/** Three servers, a gateway and four callers: on a busy machine they take their time. */
const BUSY_MS = 60_000;
const NOT_REPEATED = /had been sent and was not repeated, as it may have taken effect/;

type Scene = Awaited<ReturnType<typeof createScene>>;

async function createScene(t: TestContext) {
  const folder = await temporaryFolder(t);
  const ledger = join(folder, "ledger");
  await writeFile(ledger, "");
  const port = await freePort();
  const downFile = (name: string): string => join(folder, `${name}.down`);
  const commandOf = (name: string): string[] => [POOL_SERVER, name, ledger, downFile(name)];
  const hosts: Readonly<Record<string, string>> = { lan: "127.0.0.1", far: "127.0.0.2" };
  const servers = new Map<string, ChildProcess>();
  const serve = async (name: string): Promise<void> => {
    const args = [...commandOf(name), "--http", String(port), hosts[name] ?? ""];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "ignore"] });
    servers.set(name, child);
    await once(child.stdout, "data");
  };
  await Promise.all(Object.keys(hosts).map(serve));
  const { pool, told } = startRealPool(t);
  t.after(() => {
    for (const child of servers.values()) child.kill("SIGKILL");
  });
  const http = (name: string): BackendRoute => ({
    name,
    connection: { type: "streamable-http", url: `http://${hosts[name]}:${port}/mcp`, headers: {} },
  });
  const program: BackendRoute = {
    name: "here",
    connection: { type: "stdio", command: process.execPath, args: commandOf("here"), env: {}, cwd: "/" },
  };
  const routes = [program, http("lan"), http("far")] as const;
  const view = (): RoutesView => {
    const found = pool.view()[0]?.routes ?? null;
    assert.ok(found !== null);
    return found;
  };
  return {
    pool,
    told,
    routes,
    view,
    apply(given: readonly BackendRoute[], instances: "shared" | "per-client" = "shared") {
      const [first] = given;
      assert.ok(first !== undefined);
      const { connection } = first;
      const config = backendConfig("a", { connection, routes: given, timeouts: PATIENT, instances });
      // Calls that never pause hold up the way back for so long, and no longer.
      pool.apply([config], { drainTimeoutMs: 10_000, failback: AUTO });
    },
    /** Kills the server of a route, and lets none start there. */
    async cut(name: string) {
      await writeFile(downFile(name), "");
      const pid = name === "here" ? pool.view()[0]?.pid : servers.get(name)?.pid;
      assert.ok(typeof pid === "number", `${name} runs`);
      const server = servers.get(name);
      const ended = server === undefined ? null : once(server, "exit");
      process.kill(pid, "SIGKILL");
      await ended;
    },
    async mend(name: string) {
      await rm(downFile(name), { force: true });
      if (name !== "here") await serve(name);
    },
    call: (id: string, ms = 0, client: ClientHandle | null = null) =>
      pool.call("a", { ...callOf(client), params: { name: "who", arguments: { id, ms } } }),
    ledger: async () => (await readFile(ledger, "utf8")).split("\n").filter((line) => line !== ""),
    /** What was told of routes, in short. */
    changes: () =>
      told.flatMap((one) =>
        one.name === "backend.failover" || one.name === "backend.recovered" || one.name === "backend.switched"
          ? [`${one.name.slice("backend.".length)} ${one.from} ${one.to}`]
          : [],
      ),
  };
}

async function used(scene: Scene, name: string): Promise<void> {
  await eventually(() => scene.view().inUse === name, BUSY_MS);
}

/** Calls from four callers until it is stopped. */
function load(t: TestContext, scene: Scene) {
  let running = true;
  t.after(() => {
    running = false;
  });
  const replies = new Map<string, Reply>();
  const caller = async (_: unknown, number: number): Promise<void> => {
    for (let turn = 0; running; turn++) {
      const id = `${number}-${turn}`;
      replies.set(id, await scene.call(id, turn % 8));
      await pause(BETWEEN_CALLS_MS);
    }
  };
  const callers = Array.from({ length: 4 }, caller);
  return {
    /** Each call and its answer. */
    replies,
    /** So many more were answered. */
    async more(count: number): Promise<void> {
      const before = replies.size;
      await eventually(() => replies.size >= before + count, BUSY_MS);
    },
    async stop(): Promise<void> {
      running = false;
      await Promise.all(callers);
    },
  };
}

/** No call is lost that was not sent, and none is there twice. */
async function assertKept(scene: Scene, replies: ReadonlyMap<string, Reply>): Promise<number> {
  // More are answered while it is read.
  const answered = [...replies];
  const lines = await scene.ledger();
  const counts = new Map<string, number>();
  for (const line of lines) {
    const [id = ""] = line.split(" ");
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  let cut = 0;
  for (const [id, reply] of answered) {
    const count = counts.get(id) ?? 0;
    assert.ok(count <= 1, `call ${id} came ${count} times`);
    if (!isError(reply)) assert.equal(count, 1, `call ${id} was answered, and is in no ledger`);
    else {
      cut += 1;
      assert.match(
        errorText(reply),
        NOT_REPEATED,
        `call ${id} ended otherwise than by being cut after it was sent`,
      );
    }
  }
  return cut;
}

test("C2 edits and cuts of three real routes under load: no unsent call is lost, none is repeated", {
  skip: NO_SECOND_ADDRESS,
}, async (t) => {
  const scene = await createScene(t);
  const [here, lan, far] = scene.routes;
  scene.apply([here]);
  await used(scene, "here");
  const calls = load(t, scene);
  await calls.more(50);
  const pid = scene.pool.view()[0]?.pid;
  scene.apply(scene.routes);
  await calls.more(50);
  assert.equal(scene.pool.view()[0]?.pid, pid, "what serves is not touched by what is added");
  // The one in use is taken out, and then goes to the end.
  for (const [routes, next] of [
    [[lan, far], "lan"],
    [[far, lan], "far"],
    [scene.routes, "here"],
  ] as const) {
    scene.apply(routes);
    await used(scene, next);
    await calls.more(50);
  }
  assert.equal(await assertKept(scene, calls.replies), 0, "no edit cuts a call");
  const edits = scene.changes().length;
  for (const [what, name, next] of [
    ["cut", "here", "lan"],
    ["cut", "lan", "far"],
    ["mend", "lan", "lan"],
    ["cut", "lan", "far"],
    ["mend", "here", "here"],
    ["cut", "here", "far"],
  ] as const) {
    await scene[what](name);
    await used(scene, next);
    await calls.more(50);
  }
  await calls.stop();
  const cut = await assertKept(scene, calls.replies);
  // Of four callers at four kills what was under way, and what met a connection that a killed server had left open.
  assert.ok(cut <= 32, `${cut} calls were cut`);
  assert.deepEqual(scene.changes().slice(edits), [
    "failover here lan",
    "failover lan far",
    "recovered far lan",
    "failover lan far",
    "recovered far here",
    "failover here far",
  ]);
  t.diagnostic(`${calls.replies.size} calls, ${cut} of them cut by six changes of the route`);
});

test("C2 an instance for each client: its calls also continue over the next route when an address is gone", {
  skip: NO_SECOND_ADDRESS,
}, async (t) => {
  const scene = await createScene(t);
  const [, lan, far] = scene.routes;
  scene.apply([lan, far], "per-client");
  await used(scene, "lan");
  const clients = ["ann", "bob"].map(createClient);
  const replies = new Map<string, Reply>();
  const callAll = (turn: number): Promise<unknown> =>
    Promise.all(
      clients.map(async (client) => {
        const id = `${client.sessionId}-${turn}`;
        replies.set(id, await scene.call(id, 0, client));
      }),
    );
  await callAll(0);
  await scene.cut("lan");
  for (let turn = 1; turn <= 20 || scene.view().inUse !== "far"; turn++) {
    await callAll(turn);
    await pause(BETWEEN_CALLS_MS);
  }
  const cut = await assertKept(scene, replies);
  assert.ok(cut <= clients.length, `${cut} calls were cut`);
});

/** A scripted pool with one backend over these programs; what is down does not start. */
async function scripted(names: readonly string[], routeOverrides?: RouteOverrides, failback = AUTO) {
  const b = bench({}, routeOverrides === undefined ? {} : { routeOverrides });
  const down = new Set<string>();
  const routes = names
    .map((command) => backendConfig(command, { command }))
    .map(({ name, connection }): BackendRoute => ({ name, connection }));
  const [first] = routes;
  assert.ok(first !== undefined);
  const config = backendConfig("a", { connection: first.connection, routes });
  /** What is being started comes up, or does not. */
  const live = async (): Promise<void> => {
    for (let round = 0; round < 8; round++) {
      await settle();
      for (const one of b.script.alive.filter(({ observed }) => observed.state.kind === "starting")) {
        if (down.has(b.program(one) ?? "")) one.endWith("connection refused");
        else one.becomeReady("who");
      }
    }
  };
  const view = (): RoutesView => b.view().routes ?? assert.fail("it has no routes");
  const cut = async (name: string): Promise<void> => {
    down.add(name);
    for (const one of b.script.alive) if (b.program(one) === name) one.endWith("it was cut");
    await live();
  };
  const pass = async (ms: number): Promise<void> => {
    await b.clock.advance(ms);
    await live();
  };
  b.pool.apply([config], { drainTimeoutMs: 60_000, failback });
  await live();
  return { ...b, config, down, live, view, cut, pass };
}

const { signal } = new AbortController();

test("C2 with every route gone calls end with an error, and are served by the first that returns", async () => {
  const b = await scripted(["here", "lan", "far"]);
  for (const name of ["here", "lan", "far"]) {
    assert.equal(b.view().inUse, name);
    await b.cut(name);
  }
  const refused = b.call();
  await b.pass(5_000);
  assert.match(errorText(await refused), /server a is unavailable/);
  b.down.delete("far");
  for (let waited = 0; waited < 70; waited++) await b.pass(1_000);
  assert.equal(b.view().inUse, "far");
  const back = b.call();
  for (const one of b.script.alive) one.answer();
  const by = fromInstance(await back);
  assert.deepEqual(
    b.script.alive.filter(({ id }) => id === by).map((one) => b.program(one)),
    ["far"],
  );
});

test("C2 a failback waits for a person, is shown in every UI, and connects before it disconnects", async () => {
  const kept: (string | null)[] = [];
  let onDisk = 0;
  const pinnedRoutes: RouteOverrides = {
    get: () => null,
    keep: (_, route) => void kept.push(route),
    async whenWritten() {
      await settle();
      onDisk = kept.length;
    },
  };
  const b = await scripted(["here", "lan", "far"], pinnedRoutes, BY_HAND);
  await b.cut("here");
  b.down.delete("here");
  for (let waited = 0; b.view().pending === null && waited < 10; waited++) await b.pass(1_000);
  assert.deepEqual(b.view().pending, { route: "here", reason: "it waits until you switch" });
  assert.ok(b.told.some((one) => one.name === "backend.route_ready" && one.route === "here"));
  const [here, lan] = b.view().list;
  assert.ok(here?.healthySinceMs !== null);
  assert.deepEqual([here?.inUse, lan?.inUse], [false, true]);
  const program = (call: unknown): string | undefined =>
    b.script.started.map((one) => (one.id === call ? b.program(one) : undefined)).find(Boolean);
  const switched = async (to: string | null) => {
    const asked = b.pool.switchRoute("a", to, signal);
    await b.live();
    return asked;
  };
  const long = b.call();
  assert.deepEqual(await switched("here"), { ok: true, route: "here", changed: true });
  const [old] = b.script.alive.filter(({ pending }) => pending.size > 0);
  assert.deepEqual([b.view().inUse, old && b.program(old)], ["here", "lan"]);
  const next = b.call();
  const [serving] = b.script.alive.filter((one) => one !== old && one.pending.size > 0);
  serving?.answer();
  assert.equal(program(fromInstance(await next)), "here", "it serves while the old one finishes");
  old?.answer();
  assert.equal(program(fromInstance(await long)), "lan");
  assert.deepEqual(await switched("far"), { ok: true, route: "far", changed: true });
  assert.equal(b.view().override, "far");
  assert.equal(onDisk, 1, "a kill right after the answer leaves it held");
  assert.equal((await switched(null)).ok, true);
  assert.equal(b.view().override, null);
  assert.deepEqual(kept, ["far", null]);
  assert.deepEqual(await switched("moon"), { ok: false, reason: "it has the routes here, lan, far" });
});

test("C2 a request for a route that the configuration then removes is answered", async () => {
  const b = await scripted(["here", "lan"]);
  const asked = b.pool.switchRoute("a", "lan", signal);
  b.apply({ ...b.config, routes: null });
  assert.deepEqual(await asked, { ok: false, reason: "it has only one route" });
});

test("C2 a switch that another one, its caller or the end of the gateway overtakes ends with the reason", async () => {
  const kept: (string | null)[] = [];
  const keep = (_: string, at: string | null) => void kept.push(at);
  const b = await scripted(["here", "lan", "far"], { get: () => null, keep, whenWritten: async () => {} });
  const switched = (to: string | null, by = signal) => b.pool.switchRoute("a", to, by);
  const own = new AbortController();
  const given = switched("far", own.signal);
  own.abort();
  assert.deepEqual(await given, { ok: false, reason: "it was given up" });
  const other = new AbortController();
  const [first, second] = [switched("lan", other.signal), switched("far")];
  assert.deepEqual(await first, { ok: false, reason: "another route was asked for" });
  // What its asker gives up now does not end the switch that came after it.
  other.abort();
  assert.deepEqual(await switched("lan", AbortSignal.abort()), { ok: false, reason: "it was given up" });
  assert.deepEqual(await switched(null), { ok: true, route: "here", changed: false });
  assert.deepEqual(kept, [], "nothing was held");
  await b.pool[Symbol.asyncDispose]();
  assert.deepEqual(await second, { ok: false, reason: "the gateway is stopping" });
});

test("C2 only a call that a broken connection lost after it was sent reports it, and has the server checked", async () => {
  for (const [kind, text, checks] of [
    ["unreachable", /^too slow$/, 0],
    ["closed", /^too slow; the call had been sent and was not repeated/, 1],
  ] as const) {
    const b = await scripted(["here", "lan"]);
    const call = b.call();
    const { last } = b.script;
    last.calls[0]?.onLoss?.({ failure: { kind, message: "lost", hint: null }, wasSent: true });
    last.answer(errorReply(-32_000, "too slow"));
    assert.match(errorText(await call), text);
    assert.equal(last.checks, checks, kind);
  }
});

test("C2 a call that was lost before it was sent is sent again for the rest of its time", async () => {
  const b = await scripted(["here", "lan"]);
  const { last } = b.script;
  const call = b.call();
  const lose = async (): Promise<void> => {
    const failure = { kind: "closed", message: "lost", hint: null } as const;
    last.calls.at(-1)?.onLoss?.({ failure, wasSent: false });
    last.answer(errorReply(-32_000, "lost"));
    await settle();
  };
  await b.clock.advance(20_000);
  await lose();
  const { callMs } = b.config.timeouts;
  assertEach(last.calls, ({ timeoutMs }) => timeoutMs, [callMs, callMs - 20_000]);
  await b.clock.advance(callMs - 20_000);
  await lose();
  assert.equal(errorText(await call), "lost");
  assert.equal(last.calls.length, 2, "its time is over");
});

test("C2 it fails back as soon as the calls that delayed it have ended", async () => {
  const b = await scripted(["here", "lan"]);
  await b.cut("here");
  b.down.delete("here");
  const call = b.call();
  for (let waited = 0; b.view().pending === null && waited < 20; waited++) await b.pass(1_000);
  assert.deepEqual(b.view().pending, { route: "here", reason: "calls are in flight" });
  for (const one of b.script.alive) one.answer();
  await call;
  await settle();
  assert.equal(b.view().inUse, "here");
});

test("C2 of two routes with one connection the second is not an alternative", async () => {
  const b = await scripted(["here"]);
  const [route] = b.config.routes ?? [];
  assert.ok(route !== undefined);
  await b.applied({ ...b.config, routes: [route, { ...route, name: "twin" }] });
  await b.cut("here");
  await b.pass(200);
  assert.equal(b.starts(), 2, "one quick try");
});

test("C2 an override stays over a restart, and still fails over", async () => {
  const kept: (string | null)[] = ["lan"];
  const pinnedRoutes = {
    get: () => kept.at(-1) ?? null,
    keep: (_: string, at: string | null) => void kept.push(at),
    whenWritten: async () => {},
  };
  const b = await scripted(["here", "lan"], pinnedRoutes);
  assert.deepEqual([b.view().inUse, b.view().override], ["lan", "lan"]);
  await b.cut("lan");
  assert.equal(b.view().inUse, "here");
  const call = b.call();
  assert.equal(await b.answered(call), b.script.last.id);
  assert.equal(kept.at(-1), null);
});

test("C2 a route that is left by hand shows no earlier failure, and none is reported as tried that is not", async () => {
  const b = await scripted(["here", "lan", "far"]);
  await b.cut("here");
  assert.equal(b.view().inUse, "lan");
  b.down.delete("here");
  for (let waited = 0; waited < 10; waited++) await b.pass(1_000);
  assert.equal(b.view().inUse, "here");
  b.down.add("far");
  const vain = b.pool.switchRoute("a", "far", signal);
  await b.live();
  assert.equal((await vain).ok, false);
  const far = b.view().list.find(({ name }) => name === "far");
  assert.equal(far?.lastError, "connection refused");
  assert.equal(far?.retryAtMs, null, "it is worse than the one in use");
  const switched = b.pool.switchRoute("a", "lan", signal);
  await b.live();
  assert.equal((await switched).ok, true);
  const here = b.view().list.find(({ name }) => name === "here");
  assert.deepEqual([here?.lastError, here?.retryAtMs], [null, null]);
});
