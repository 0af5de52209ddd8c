import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { diffConfigs } from "../../src/config/diff.ts";
import type { ServiceTransition } from "../../src/daemon/events/service-transitions.ts";
import { shareSection } from "../../src/daemon/share-part.ts";
import type { HostProber } from "../../src/network/probe/probe-result.ts";
import { EMPTY_SHARE_MEMORY, type ShareMemory, type StateStore } from "../../src/reconcile/state-store.ts";
import { noopLogger } from "../../src/runtime/log/log.ts";
import { systemClock as clock } from "../../src/runtime/time/clock.ts";
import type { FoundMount, MountDriver } from "../../src/shares/drivers/mount-driver.ts";
import { ShareEngine } from "../../src/shares/engine/share-engine.ts";
import type { Prober } from "../../src/shares/prober/prober.ts";
import { startProber } from "../../src/shares/prober/prober-process.ts";
import { eventually } from "../support/eventually.ts";
import { configOf, smbShare } from "./samples.ts";
import { foundMount, UNASKED_DRIVER } from "./shares.ts";

const NEVER = new AbortController().signal;

/** A world in which every host answers, and each mount waits until the test lets it be made. */
interface World {
  readonly engine: ShareEngine;
  readonly transitions: ServiceTransition[];
  readonly told: {
    intervalMs: number[];
    windowMs: number[];
    aliases: string[];
    required: string[][];
    listens: number;
  };
  /** `mount CORE`, `forget CORE`: what was done, in order. */
  readonly done: string[];
  readonly mostAtOnce: () => number;
  readonly waiting: Set<() => void>;
  /** What hears that a mount's process ended. */
  readonly exits: ReadonlySet<(share: string) => void>;
  reload(text: string): Promise<void>;
}

async function world(
  t: TestContext,
  recalled: Readonly<Record<string, Partial<ShareMemory>>> = {},
): Promise<World> {
  const prober: Prober = startProber({ clock, logger: noopLogger });
  t.after(() => prober[Symbol.asyncDispose]());
  const done: string[] = [];
  const mounts = new Map<string, FoundMount>();
  const waiting = new Set<() => void>();
  const exits = new Set<(share: string) => void>();
  const atWork = new Map<string, number>();
  let most = 0;
  const driver: MountDriver = {
    ...UNASKED_DRIVER,
    missingRequirement: async () => null,
    onMountProcessExit(listener) {
      exits.add(listener);
      return () => void exits.delete(listener);
    },
    find: async ({ name }) => [...mounts].flatMap(([each, mount]) => (each === name ? [mount] : [])),
    async mount({ name, mountPath }, route) {
      done.push(`mount ${name}`);
      const count = (atWork.get(name) ?? 0) + 1;
      atWork.set(name, count);
      most = Math.max(most, count);
      await new Promise<void>((resolve) => waiting.add(resolve));
      atWork.set(name, count - 1);
      const mount = foundMount({ id: `${name}-1`, path: mountPath, route });
      mounts.set(name, mount);
      return { ok: true, mount, adopted: false };
    },
    ownProcesses: async () => [],
  };
  const hostProber: HostProber = {
    networkChanged() {},
    probe: async () => ({
      verdict: "answers",
      reason: "negotiated",
      tcpAnswered: true,
      address: null,
      interfaceName: null,
      serverGuid: null,
      text: "it answers",
      tookMs: 1,
    }),
  };
  const shares = new Map(
    Object.entries(recalled).map(([name, memory]) => [name, { ...EMPTY_SHARE_MEMORY, ...memory }]),
  );
  const saved = async () => null;
  const memory: StateStore = {
    restored: { shares, observedAt: null, setAside: null },
    save: saved,
    forget(name) {
      done.push(`forget ${name}`);
      return saved();
    },
    flush: saved,
    saveError: null,
    async [Symbol.asyncDispose]() {},
  };
  const looksFine: Prober = {
    ...prober,
    checkMount: async () => ({
      state: "answered",
      startedAtMs: 0,
      finishedAtMs: clock.monotonicMs(),
      errno: null,
    }),
    lastCheck: () => ({ state: "answered", startedAtMs: 0, finishedAtMs: clock.monotonicMs(), errno: null }),
  };
  const engine = new ShareEngine({
    clock,
    logger: noopLogger,
    memory,
    drivers: [],
    hostProber,
    prober: looksFine,
    forceStop: NEVER,
    announce: () => {},
    links: {
      ensure: () => null,
      ensureNow: async () => null,
      check: async () => null,
      remove: async () => {},
    },
  });
  t.after(async () => {
    for (const release of waiting) release();
    await engine[Symbol.asyncDispose]();
  });
  const transitions: ServiceTransition[] = [];
  const told: World["told"] = { intervalMs: [], windowMs: [], aliases: [], required: [], listens: 0 };
  const section = shareSection({
    engine,
    aliases: {
      apply: ({ aliases }) => void told.aliases.push(aliases.map(({ name }) => name).join()),
      trigger: (reason) => void told.aliases.push(reason),
    },
    triggers: {
      configure: ({ global, shares }) => {
        told.intervalMs.push(global.checkIntervalMs);
        told.windowMs.push(global.networkDebounceMs);
        if (shares.length > 0) told.listens += 1;
      },
    },
    clock,
    context: {
      environment: {},
      drivers: { fs: driver, local: driver, netfs: driver },
      redact: () => {},
      intervalMs: null,
    },
    required: { configChanged: () => void told.required.push([...engine.names]) },
    publish: (transition) => void transitions.push(transition),
  });
  let before = await configOf("");
  return {
    engine,
    transitions,
    told,
    done,
    waiting,
    exits,
    mostAtOnce: () => most,
    async reload(text) {
      const after = await configOf(text);
      const prepared = await section.prepare({ before, after, diff: diffConfigs(before, after) }, NEVER);
      prepared.commit();
      before = after;
    },
  };
}

test("A6 preparing touches nothing; committing applies shares, interval and window, and begins a cycle", async (t) => {
  const { engine, told, done, reload, waiting } = await world(t);
  const alias = '[[aliases]]\nname = "docs"\nshare = "CORE"\ntarget_subpath = "Docs"\n';
  await reload(`[global]\ncheck_interval_secs = 3\nnetwork_debounce_ms = 70\n${smbShare("CORE")}${alias}`);
  assert.deepEqual(engine.names, ["CORE"]);
  assert.deepEqual(told, {
    intervalMs: [3000],
    windowMs: [70],
    aliases: ["docs", "config"],
    required: [["CORE"]],
    listens: 1,
  });
  await eventually(() => waiting.size === 1);
  assert.deepEqual(done, ["mount CORE"]);
});

test("network events are received from the first share on", async (t) => {
  const { told, reload } = await world(t);
  await reload("[global]\ncheck_interval_secs = 3\n");
  assert.equal(told.listens, 0);
  await reload(smbShare("CORE"));
  assert.equal(told.listens, 1);
});

test("A6 a share that is removed is announced with the route it was left on", async (t) => {
  const { transitions, reload, waiting, engine } = await world(t);
  await reload(`${smbShare("CORE")}${smbShare("MEDIA")}`);
  await eventually(() => waiting.size === 2);
  for (const release of waiting) release();
  await eventually(() => engine.view("CORE").memory.activeInterface === "tb");
  await reload(smbShare("MEDIA"));
  assert.deepEqual(transitions, [{ name: "share.unmanaged", share: "CORE", left_mounted_over: "tb" }]);
  assert.deepEqual(engine.names, ["MEDIA"]);
});

test("A6 a share that is removed and added while it is being mounted has one step at a time, and is not forgotten after", async (t) => {
  const { engine, done, reload, waiting, mostAtOnce } = await world(t);
  await reload(smbShare("CORE"));
  await eventually(() => waiting.size === 1);
  for (let round = 0; round < 3; round += 1) {
    await reload("");
    await reload(smbShare("CORE"));
  }
  // Long enough for a cycle of the new lane, were it not for the old one's step.
  await clock.sleep(100);
  assert.deepEqual(done, ["mount CORE"]);
  for (const release of waiting) release();
  await eventually(() => engine.view("CORE").memory.activeInterface === "tb");
  assert.equal(mostAtOnce(), 1);
  assert.deepEqual(
    done,
    ["mount CORE", "forget CORE", "forget CORE", "forget CORE"],
    "adopted, not mounted twice",
  );
});

test("A6 a share's state recalled by the start applies the first time it is configured, and not the second", async (t) => {
  const { engine, reload, done } = await world(t, { CORE: { override: "unmounted" } });
  await reload(smbShare("CORE"));
  assert.equal(engine.view("CORE").memory.override, "unmounted");
  await reload("");
  await eventually(() => done.includes("forget CORE"));
  await reload(smbShare("CORE"));
  assert.equal(engine.view("CORE").memory.override, null);
});

test("shares are listed in the file's order, whatever was added when", async (t) => {
  const { engine, reload } = await world(t);
  await reload(["B", "D"].map((name) => smbShare(name)).join(""));
  await reload(["A", "D", "C", "B"].map((name) => smbShare(name)).join(""));
  assert.deepEqual(engine.names, ["A", "D", "C", "B"]);
});

test("a share that is no longer configured is unknown by its name", async (t) => {
  const { engine, reload } = await world(t);
  await reload(smbShare("CORE"));
  await reload("");
  assert.throws(() => engine.view("CORE"), { code: "share_unknown" });
  await assert.rejects(engine.request("CORE", { kind: "mount", waitUntilMs: 0 }, NEVER), {
    code: "share_unknown",
  });
});

test("a command that waits for a share which is then removed is answered", async (t) => {
  const { engine, reload, waiting } = await world(t, { CORE: { override: "unmounted" } });
  await reload(smbShare("CORE"));
  await eventually(() => engine.view("CORE").observed !== null);
  const asked = engine.request("CORE", { kind: "mount", waitUntilMs: clock.monotonicMs() + 60_000 }, NEVER);
  await eventually(() => waiting.size === 1);
  await reload("");
  assert.deepEqual((await asked).result, "failed");
});

test("a command is withdrawn when its caller leaves or the engine ends, before and during its wait", async (t) => {
  const { engine, reload, waiting, done } = await world(t, { CORE: { override: "unmounted" } });
  await reload(smbShare("CORE"));
  await eventually(() => engine.view("CORE").observed !== null);
  const mount = (signal: AbortSignal) =>
    engine.request("CORE", { kind: "mount", waitUntilMs: clock.monotonicMs() + 60_000 }, signal);
  await assert.rejects(mount(AbortSignal.abort(new Error("left"))), /left/);
  assert.deepEqual(done, []);
  const leaving = new AbortController();
  const asked = mount(leaving.signal);
  await eventually(() => waiting.size === 1);
  leaving.abort();
  const cancelled = { result: "failed", detail: "cancelled" };
  assert.partialDeepStrictEqual(await asked, cancelled);
  const ended = engine[Symbol.asyncDispose]();
  assert.partialDeepStrictEqual(await mount(NEVER), cancelled);
  for (const release of waiting) release();
  await ended;
});

test("A8 an idle engine carries out people's requests, and nothing else", async (t) => {
  const { engine, reload, waiting, done } = await world(t, { CORE: { override: "unmounted" } });
  await reload(smbShare("CORE"));
  await engine.untilIdle("CORE", NEVER);
  const atMs = engine.view("CORE").observed?.atMs;
  engine.rest();
  for (const reason of ["user", "tick"] as const) engine.trigger("CORE", reason);
  engine.triggerAll("network", clock.monotonicMs());
  await engine.untilIdle("CORE", NEVER);
  assert.equal(engine.view("CORE").observed?.atMs, atMs, "nothing was looked at");
  const asked = engine.request("CORE", { kind: "mount", waitUntilMs: clock.monotonicMs() + 60_000 }, NEVER);
  await eventually(() => waiting.size === 1);
  for (const release of waiting) release();
  assert.equal((await asked).result, "mounted");
  assert.deepEqual(done, ["mount CORE"]);
});

test("A2 a mount process that ends starts a cycle of only its share, as long as that is configured", async (t) => {
  const override = { override: "unmounted" } as const;
  const { engine, reload, exits } = await world(t, { CORE: override, MEDIA: override });
  await reload(`${smbShare("CORE")}${smbShare("MEDIA")}`);
  const seenAt = async (): Promise<(number | undefined)[]> => {
    for (const name of engine.names) await engine.untilIdle(name, NEVER);
    return engine.names.map((name) => engine.view(name).observed?.atMs);
  };
  const [core, media] = await seenAt();
  for (const exit of exits) exit("CORE");
  const [coreNow, mediaNow] = await seenAt();
  assert.ok((coreNow ?? 0) > (core ?? 0));
  assert.equal(mediaNow, media);
  await reload(`[global]\ncheck_interval_secs = 3\n${smbShare("CORE")}${smbShare("MEDIA")}`);
  assert.equal(exits.size, 2, "heard once for each share");
  await reload("");
  assert.equal(exits.size, 0);
});
