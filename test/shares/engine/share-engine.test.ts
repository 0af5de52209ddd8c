// What the engine promises whoever asks, hears and configures it, with a share that is a folder.
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import type { FoundMount, MountDriver } from "../../../src/shares/drivers/mount-driver.ts";
import type { ShareEngine } from "../../../src/shares/engine/share-engine.ts";
import type { ShareRequest } from "../../../src/shares/policy/share-request.ts";
import type { ServerComparison } from "../../../src/shares/program/commands.ts";
import { UNASKED_DRIVER } from "../../daemon/shares.ts";
import { createManualClock, settle } from "../../support/manual-clock.ts";
import { pluck } from "../../support/pluck.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { routeTo } from "../share-spec.ts";
import { POLICY, SPEC } from "../world.ts";
import { startSimDaemon } from "./sim-daemon.ts";
import { SimMachine } from "./sim-machine.ts";
import { SimNetwork } from "./sim-network.ts";

const LOCAL = {
  ...SPEC,
  driver: "local",
  routes: { tb: routeTo(null, { folder: "/tb" }), fallback: routeTo(null, { folder: "/fallback" }) },
} as const;

function start(more: Parameters<typeof startSimDaemon>[4] = {}) {
  const clock = createManualClock();
  const machine = new SimMachine(clock, new SimNetwork());
  const daemon = startSimDaemon(machine, clock, LOCAL, "remount", more);
  const { engine } = daemon;
  const signal = new AbortController().signal;
  const unmount = { kind: "unmount", force: false, keepUnmounted: true, waitUntilMs: 0 } as const;
  const ask = (request: ShareRequest = unmount, stop = signal) => engine.request("CORE", request, stop);
  return { clock, machine, daemon, engine, ask };
}

function linksThat(note: (kind: "tick" | "now") => void) {
  return {
    ensure() {
      note("tick");
      return null;
    },
    async ensureNow() {
      note("now");
      return null;
    },
    check: async () => null,
    remove: async () => {},
  };
}

type Memory = ConstructorParameters<typeof ShareEngine>[0]["memory"];

function memoryThat(parts: Partial<Memory>): Memory {
  return {
    restored: { shares: new Map(), observedAt: null, setAside: null },
    save: async () => null,
    forget: async () => null,
    flush: async () => null,
    saveError: null,
    async [Symbol.asyncDispose]() {},
    ...parts,
  } as Memory;
}

test("a change is announced, and a person answered, once it is durable", async () => {
  const written = Promise.withResolvers<null>();
  const told: string[] = [];
  const memory = memoryThat({ save: () => written.promise });
  const { clock, machine, ask } = start({ memory, announce: ({ name }) => void told.push(name) });
  await clock.advance(5_000);
  assert.ok(machine.link !== null, "steps do not wait for the disk");
  const answers: string[] = [];
  void ask().then(({ result }) => answers.push(result));
  await clock.advance(5_000);
  assert.deepEqual([machine.link, told, answers], [null, [], []]);
  written.resolve(null);
  await settle();
  assert.deepEqual(answers, ["unmounted"]);
  assert.ok(told.includes("share.mounted"), told.join());
});

test("By hand: a newer request supersedes a waiting one, and an abort or the end withdraws it", async () => {
  const { clock, engine, ask } = start();
  await clock.advance(5_000);
  const details = (all: readonly ReturnType<typeof ask>[]) =>
    Promise.all(all.map(async (answer) => (await answer).detail));
  const stop = new AbortController();
  const [first, second, third] = [ask(), ask(), ask(undefined, stop.signal)];
  stop.abort();
  assert.deepEqual(await details([first, second, third]), [
    ...["superseded by a newer command", "superseded by a newer command", "cancelled"],
  ]);
  await assert.rejects(ask(undefined, AbortSignal.abort(new Error("gone"))), /gone/);
  const last = ask();
  const ended = engine[Symbol.asyncDispose]();
  const late = ask();
  await clock.advance(1_000);
  assert.deepEqual(await details([last, late]), ["cancelled", "cancelled"]);
  await ended;
});

test("By hand: a share that a person asks for has its link checked, however recent the last check is", async () => {
  const looks: string[] = [];
  const links = linksThat((kind) => looks.push(kind));
  const { clock, ask } = start({ links });
  await clock.advance(5_000);
  assert.deepEqual([...new Set(looks)], ["tick"]);
  const { signal } = new AbortController();
  await ask(undefined, signal);
  assert.equal(getEventListeners(signal, "abort").length, 0);
  assert.equal(looks.at(-1), "now");
});

test("A13 a path that another home owns is not touched; a path is released once it is unused", async () => {
  let owner: string | null = "/home/other";
  const released: string[] = [];
  const looks: string[] = [];
  const claims = { claim: async () => owner, release: async (path: string) => void released.push(path) };
  const links = linksThat((kind) => looks.push(kind));
  const { clock, machine, daemon, engine, ask } = start({ claims, links });
  await clock.advance(5_000);
  assert.deepEqual([machine.link, looks], [null, []]);
  assert.ok(engine.view("CORE").conditions.some(({ code }) => code === "other_home"));
  assert.match((await ask({ kind: "mount", waitUntilMs: 0 })).detail, /the daemon of \/home\/other$/);
  assert.deepEqual(looks, []);
  owner = null;
  await clock.advance(5_000);
  assert.ok(machine.link !== null);
  daemon.apply({ ...LOCAL, mountPath: "/elsewhere/CORE" });
  await clock.advance(30_000);
  assert.equal(machine.link.path, "/elsewhere/CORE");
  assert.deepEqual(released, [LOCAL.mountPath], "once, and not before it is mounted elsewhere");
  daemon.apply(null);
  await clock.advance(1_000);
  assert.deepEqual(released.slice(1), ["/elsewhere/CORE"]);
});

test("a share rests after a person's request, until the next one", async () => {
  const { clock, machine, engine, ask } = start();
  await clock.advance(5_000);
  engine.rest();
  machine.link = null;
  await clock.advance(30_000);
  assert.equal(machine.link, null);
  await ask({ kind: "mount", waitUntilMs: 0 });
  assert.ok(machine.link !== null);
});

test("A10 a report of a mount's program starts a cycle of its share, until the end", async () => {
  const logger = createRecordingLogger();
  const listeners = new Set<(share: string) => void>();
  const moving = {
    onReport(listener: (share: string) => void) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
  const driver = { ...UNASKED_DRIVER, find: async () => [], moving } as unknown as MountDriver;
  const { clock, engine } = start({ logger, drivers: [driver] });
  await clock.advance(5_000);
  for (const [share, reasons] of [
    ["CORE", ["program"]],
    ["OTHER", null],
  ] as const) {
    const before = logger.lines.length;
    for (const listener of [...listeners]) listener(share);
    await settle();
    const cycles = logger.lines.slice(before).filter(({ message }) => message === "cycle");
    assert.deepEqual(cycles[0]?.fields["trigger"] ?? null, reasons);
  }
  await engine[Symbol.asyncDispose]();
  assert.equal(listeners.size, 0);
});

test("requested shares begin first; the end waits for the running cycle", async () => {
  const { clock, machine, engine } = start();
  const began: string[] = [];
  const gate = Promise.withResolvers<void>();
  const local = machine.localDriver();
  const driver = {
    ...local,
    async find(spec: typeof LOCAL, notBeforeMs: number) {
      began.push(spec.name);
      await gate.promise;
      return local.find(spec, notBeforeMs);
    },
  };
  engine.apply(["A", "B", "C"].map((name) => ({ spec: { ...LOCAL, name }, policy: POLICY, driver })));
  engine.triggerAll("tick", clock.monotonicMs(), [], ({ name }) => name === "B");
  await settle();
  assert.deepEqual(began, ["B", "A", "C"]);
  let hasEnded = false;
  const ended = engine[Symbol.asyncDispose]().then(() => {
    hasEnded = true;
  });
  await settle();
  assert.ok(!hasEnded);
  gate.resolve();
  await ended;
});

test("a program that waits for a share starts a cycle of it, which knows the program", async () => {
  const logger = createRecordingLogger();
  const { clock, engine } = start({ logger });
  await clock.advance(5_000);
  assert.equal(engine.view("CORE").observed?.wanted, false);
  const before = logger.lines.length;
  engine.want("CORE");
  engine.want("OTHER");
  await settle();
  assert.equal(engine.view("CORE").observed?.wanted, true);
  const cycles = logger.lines.slice(before).filter(({ message }) => message === "cycle");
  assert.deepEqual(pluck(cycles, "fields"), [{ share: "CORE", trigger: ["data"] }]);
});

test("a driver of the other kind is asked once for its remains", async () => {
  let looks = 0;
  const find = async () => {
    looks++;
    return [];
  };
  const former = { ...UNASKED_DRIVER, cacheMs: 0, find } as MountDriver;
  const { clock } = start({ drivers: [former] });
  await clock.advance(10_000);
  assert.equal(looks, 1);
});

test("the end waits for comparisons of servers, whose programs it ends, but not for long", async () => {
  for (const isQuick of [true, false]) {
    const ended = Promise.withResolvers<ServerComparison>();
    let until: AbortSignal | undefined;
    const { clock, machine, engine } = start({
      compareServers: (_spec, _endpoints, signal) => {
        until = signal;
        return ended.promise;
      },
    });
    for (const address of ["10.0.1.2", "10.0.2.2"]) machine.network.put(address, { name: "nas" });
    const driver = machine.driver(clock, machine.prober(clock));
    engine.apply([{ spec: SPEC, policy: POLICY, driver }]);
    await clock.advance(5_000);
    assert.equal(until?.aborted, false);
    let isOver = false;
    const over = engine[Symbol.asyncDispose]().then(() => {
      isOver = true;
    });
    await clock.advance(999);
    assert.deepEqual([until?.aborted, isOver], [true, false]);
    if (isQuick) ended.resolve({ ok: true, verdict: "none", text: null, failures: {} });
    else await clock.advance(1);
    await over;
  }
});

test("A9 a share's fault is logged again when the share is added again", async () => {
  const logger = createRecordingLogger();
  const { clock, daemon } = start({ logger });
  for (let times = 1; times <= 2; times++) {
    daemon.apply({ ...LOCAL, missingVariable: "NAS_PASSWORD" });
    await clock.advance(5_000);
    assert.equal(logger.lines.filter(({ message }) => message === "share.condition").length, times);
    daemon.apply(null);
    await clock.advance(1_000);
  }
});

/** A local share over tb whose mount answers no look. */
function startHanging() {
  const pending = { state: "pending", startedAtMs: 1_000 } as const;
  const prober = {
    ...{ pids: [], lastCheck: () => pending, checkMount: async () => pending, forget() {} },
    openFiles: async () => [],
  };
  const logger = createRecordingLogger();
  const started = start({ prober: prober as never, logger });
  const mount: FoundMount = {
    ...{ id: "m", path: LOCAL.mountPath, source: "/tb", sameShare: true, route: "tb" },
    ...{ processGone: false, madeByDriver: true },
  };
  const failed = { ok: false, reason: "other", text: "no" } as const;
  const driver: MountDriver = {
    ...started.machine.localDriver(),
    find: async () => [mount],
    mount: async () => failed,
    unmount: async () => ({ ...failed, reason: "failed" }),
  };
  /** Resolves to true once the share has settled. */
  const settles = (parts: Partial<MountDriver>, mountHangMs: number) => {
    const { engine } = started;
    const policy = { ...POLICY, mountHangMs };
    engine.apply([{ spec: LOCAL, policy, driver: { ...driver, ...parts } }]);
    engine.trigger("CORE", "config");
    const seen = { hasSettled: false };
    void engine.untilIdle("CORE", new AbortController().signal).then(() => {
      seen.hasSettled = true;
    });
    return seen;
  };
  const failures = () => logger.lines.filter(({ message }) => message === "cycle failed");
  return { ...started, mount, settles, failures };
}

test("By hand: a share that waits for a retry, or long for a confirmation, has settled", async () => {
  const { settles, failures } = startHanging();
  for (const parts of [{ find: async () => [] }, {}]) {
    const share = settles(parts, 1_501);
    await settle();
    assert.ok(share.hasSettled);
  }
  assert.deepEqual(failures(), []);
});

test("By hand: a share has settled once its cycle has ended, and a confirmation that is due soon has arrived", async () => {
  const { clock, mount, settles, failures } = startHanging();
  const gate = Promise.withResolvers<void>();
  const find = async () => {
    await gate.promise;
    return [mount];
  };
  const share = settles({ find }, 1_500);
  await settle();
  assert.ok(!share.hasSettled, "its cycle has not ended");
  gate.resolve();
  await clock.advance(1_499);
  assert.ok(!share.hasSettled, "whether it hangs is not confirmed");
  await clock.advance(2);
  assert.ok(share.hasSettled);
  assert.deepEqual(failures(), []);
});
