// The cycle of one share, with every part that it asks played: what it tells them, and what it remembers.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ProbeResult } from "../../../src/network/probe/probe-result.ts";
import { EMPTY_SHARE_MEMORY, type ShareMemory } from "../../../src/reconcile/state-store.ts";
import type { TriggerReason } from "../../../src/reconcile/trigger.ts";
import type { FoundMount, MountDriver } from "../../../src/shares/drivers/mount-driver.ts";
import { type MountReport, UNHEARD } from "../../../src/shares/drivers/moving-mounts.ts";
import { type CycleTools, ShareCycle } from "../../../src/shares/engine/share-cycle.ts";
import type { OpenFile } from "../../../src/shares/prober/prober.ts";
import type { ServerComparison } from "../../../src/shares/program/commands.ts";
import type { RouteName, SharePolicy, ShareSpec } from "../../../src/shares/share-spec.ts";
import { createManualClock, settle } from "../../support/manual-clock.ts";
import { routeTo } from "../share-spec.ts";
import { POLICY, SPEC } from "../world.ts";

const TB_HOST = "10.0.1.2";
const HOLDER: OpenFile = { pid: 7, command: "vim", path: SPEC.mountPath, how: "fd" };
const SERVING: MountReport = {
  ...{ ...UNHEARD, phase: { ...UNHEARD.phase, is: "serving" }, route: "tb", connections: 1 },
};
const MOUNT: FoundMount = {
  ...{ id: "m1", path: SPEC.mountPath, source: `//${TB_HOST}/CORE`, sameShare: true, route: "tb" },
  ...{ processGone: false, madeByDriver: true },
};
const MOVING = { ...MOUNT, moves: true } as const;

interface Start {
  readonly spec?: ShareSpec;
  readonly policy?: Partial<SharePolicy>;
  readonly memory?: Partial<ShareMemory>;
  readonly driver?: Partial<MountDriver>;
}

function start({ spec = SPEC, policy, memory, driver }: Start = {}) {
  const clock = createManualClock();
  const done: string[] = [];
  const world = {
    answering: new Set<RouteName>(["tb", "fallback"]),
    tookMs: { tb: 1, fallback: 1 },
    mounts: [] as FoundMount[],
    report: null as MountReport | null,
    check: { state: "answered", startedAtMs: 0, finishedAtMs: 0, errno: null } as ReturnType<
      CycleTools["prober"]["lastCheck"]
    >,
    holders: [] as OpenFile[],
    owner: null as string | null,
    /** null: it lists, and the mount is there. */
    mountFails: "it does not list" as string | null,
    compared: async (_signal: AbortSignal): Promise<ServerComparison> => UNPROVED,
    during: (_what: string): void => {},
  };
  const say = (what: string): void => {
    done.push(what);
    world.during(what);
  };
  const probes = new Map<string, number>();
  const tools = {
    clock,
    hostProber: {
      async probe({ host }: { host: string }, { timeoutMs }: { timeoutMs: number }) {
        probes.set(host, timeoutMs);
        const route = host === TB_HOST ? "tb" : "fallback";
        const answers = world.answering.has(route);
        return {
          ...{ verdict: answers ? "answers" : "gone", tcpAnswered: answers, reason: "no_route" },
          ...{ address: host, interfaceName: "eth0", serverGuid: "aa", text: "text" },
          tookMs: world.tookMs[route],
        } as ProbeResult;
      },
    },
    prober: {
      pids: [],
      lastCheck: () => world.check,
      checkMount: async () => world.check,
      forget: (id: string) => say(`forget ${id}`),
      async openFiles() {
        say("open files");
        return [{ ok: true, files: world.holders }];
      },
    },
    compareServers: (_spec: unknown, _endpoints: unknown, signal: AbortSignal) => {
      say("compare");
      return world.compared(signal);
    },
    links: { ensure: () => null, ensureNow: async () => null, check: async () => null },
    claims: {
      claim: async () => world.owner,
      release: async (path: string) => say(`release ${path}`),
    },
    programs: { running: () => [], setAccess: (_share: string, room: string) => say(`room ${room}`) },
    memory: { save: async () => null },
    forceStop: new AbortController().signal,
    sendWakePacket: (address: string) => say(`wake ${address}`),
    announce: () => {},
  };
  const own = {
    ...{ name: "fs", cacheMs: 0, missingRequirement: async () => null, find: async () => world.mounts },
    ...{ ownProcesses: async () => [], openFilesPath: () => SPEC.mountPath },
    async mount(_share: unknown, route: RouteName) {
      say(`mount ${route}`);
      if (world.mountFails !== null) return { ok: false, reason: "other", text: world.mountFails };
      const mount = { ...MOUNT, route, id: `m${done.length}` };
      world.mounts = [mount];
      return { ok: true, mount, adopted: false };
    },
    async unmount() {
      say("unmount");
      world.mounts = [];
      return { ok: true };
    },
    ...driver,
  };
  const subject = {
    spec,
    policy: { ...POLICY, ...policy },
    // The cycle asks no more than this of its parts.
    driver: own as unknown as MountDriver,
  };
  const cycle = new ShareCycle(tools as unknown as CycleTools, subject, {
    memory: { ...EMPTY_SHARE_MEMORY, ...memory },
    observedAt: null,
  });
  const stopping = new AbortController();
  return {
    clock,
    world,
    cycle,
    stopping,
    probes,
    subject,
    counted: (what: string): number => done.filter((one) => one === what).length,
    done,
    /** Runs a cycle, and then what it has begun. */
    async run(reason: TriggerReason = "tick") {
      await cycle.run([{ reason, atMs: clock.monotonicMs(), details: [] }], stopping.signal);
      await settle();
      return cycle.view().observed ?? assert.fail("nothing was seen");
    },
    edit: (change: Partial<ShareSpec>) => cycle.reconfigure({ ...subject, spec: { ...spec, ...change } }),
  };
}

const UNPROVED: ServerComparison = { ok: true, verdict: "unproved", text: "empty", failures: {} };
const SAME: ServerComparison = { ok: true, verdict: "same", text: null, failures: {} };

/** What a program that moves mounts says, as the driver's part. */
function movingBy(world: { report: MountReport | null }): Pick<MountDriver, "moving"> {
  const moving = { of: () => world.report, update() {}, onReport: () => () => {} };
  return { moving: moving as unknown as NonNullable<MountDriver["moving"]> };
}

for (const [reason, again, comparesAgain] of [
  ["tick", false, false],
  ["servers_compared", false, false],
  ["network", true, false],
  ["wake", true, false],
  ["config", true, false],
  ["user", true, true],
] as const) {
  test(`What to mount: after a failure, ${reason} ${again ? "ends the pause between mounts" : "waits"}, and ${comparesAgain ? "compares the servers again" : "compares nothing"}`, async () => {
    const { run, counted } = start();
    await run();
    assert.deepEqual([counted("mount tb"), counted("compare")], [1, 1]);
    await run(reason);
    assert.deepEqual([counted("mount tb"), counted("compare")], [again ? 2 : 1, comparesAgain ? 2 : 1]);
  });
}

test("A13 the servers are compared again after a route has returned, at most every 2 s, and when no route proved them, every 5 min", async () => {
  const { clock, world, run, counted } = start();
  world.compared = async () => SAME;
  await run();
  assert.deepEqual((await run()).serverCheck, {
    ...{ state: "same", text: null, isEmpty: false, isChecking: false, proved: ["tb", "fallback"] },
  });
  world.answering.delete("tb");
  assert.deepEqual((await run()).serverCheck?.proved, ["fallback"]);
  world.answering.add("tb");
  assert.equal((await run()).serverCheck?.isChecking, true, "what is not compared yet is awaited");
  assert.equal(counted("compare"), 1);
  await clock.advance(2_000);
  world.compared = async () => UNPROVED;
  await run();
  assert.equal(counted("compare"), 2);
  assert.equal((await run()).serverCheck?.state, "unproved");
  await clock.advance(299_000);
  await run();
  assert.equal(counted("compare"), 2);
  await clock.advance(2_000);
  await run();
  assert.equal(counted("compare"), 3);
});

test("A13 while another server answers, the servers are compared again after 10 s, then 20 s and so on", async () => {
  const { clock, world, run, counted } = start();
  world.compared = async () => ({ ok: true, verdict: "different", text: "other files", failures: {} });
  await run();
  for (const [pauseMs, compared] of [
    [9_000, 1],
    [1_000, 2],
    [19_000, 2],
    [1_000, 3],
  ] as const) {
    await clock.advance(pauseMs);
    await run();
    assert.equal(counted("compare"), compared);
  }
  world.compared = async () => SAME;
  await clock.advance(40_000);
  await run();
  assert.equal((await run()).serverCheck?.state, "same");
});

test("A13 nothing is compared for a share that moves, has one address, waits for its password, or is a folder", async () => {
  const world = { report: null };
  for (const given of [
    { policy: { onRouteChange: "move" }, driver: movingBy(world) },
    { spec: { ...SPEC, routes: { ...SPEC.routes, tb: routeTo(null) } } },
    { spec: { ...SPEC, missingVariable: "NAS_PASSWORD" } },
    { spec: { ...SPEC, driver: "local" } },
  ] as const) {
    const { run, counted } = start(given);
    assert.equal((await run()).serverCheck, null);
    assert.equal(counted("compare"), 0);
  }
});

test("A13 no login is sent for a path that another home's daemon has, or by a check that changes nothing", async () => {
  const { clock, cycle, world, run, counted } = start();
  await cycle.observe(clock.monotonicMs());
  await settle();
  world.owner = "/home/other";
  await run();
  assert.equal(counted("compare"), 0);
});

test("A13 a path is not released as long as the share is mounted there", async () => {
  const { world, run, edit, done } = start();
  world.mountFails = null;
  world.holders = [HOLDER];
  await run();
  edit({ mountPath: "/elsewhere/CORE" });
  await run();
  assert.deepEqual(
    done.filter((one) => one.startsWith("release")),
    [],
  );
  world.mounts = [];
  await run();
  assert.deepEqual(
    done.filter((one) => one.startsWith("release")),
    [`release ${SPEC.mountPath}`],
  );
});

test("A13 an edit makes the servers be compared again", async () => {
  const { cycle, world, run, edit, counted } = start();
  world.compared = async () => SAME;
  await run();
  edit({ routes: { ...SPEC.routes, fallback: routeTo("10.0.9.9") } });
  assert.equal(cycle.view().subject.spec.routes.fallback.host, "10.0.9.9");
  await run();
  assert.equal(counted("compare"), 2);
});

test("By hand: the withdrawal of an earlier request leaves the newer one", async () => {
  const { cycle } = start();
  const first = { kind: "mount", waitUntilMs: 0 } as const;
  void cycle.request(first);
  void cycle.request({ ...first });
  cycle.withdraw(first);
  assert.ok(cycle.hasRequest);
  cycle.withdraw(null);
  assert.ok(!cycle.hasRequest);
});

test("What to mount: a daemon that stops begins no mount, but makes the one in place of one that it has unmounted", async () => {
  const idle = start();
  idle.stopping.abort();
  await idle.run();
  assert.equal(idle.counted("mount tb"), 0);
  const { world, cycle, stopping, run, done } = start();
  world.mounts = [{ ...MOUNT, route: "fallback" }];
  world.mountFails = null;
  world.compared = async () => SAME;
  await run();
  world.during = (what) => {
    if (what === "unmount") stopping.abort();
  };
  void cycle.request({ kind: "switch", to: "tb", force: false, wait: false, waitUntilMs: 0 });
  await run("user");
  assert.ok(done.indexOf("mount tb") > done.indexOf("unmount"), done.join());
});

test("A14 a request of a program that waits for a route counts once as a program that asks for the share", async () => {
  const world = { report: null as MountReport | null };
  const { clock, world: seen, run } = start({ policy: { onRouteChange: "move" }, driver: movingBy(world) });
  seen.answering.clear();
  seen.mounts = [MOVING];
  const waiting = { ...SERVING, phase: { ...SERVING.phase, is: "waiting" } } as const;
  world.report = waiting;
  assert.equal((await run()).wanted, false);
  world.report = { ...waiting, requestedAtMs: clock.monotonicMs() };
  assert.equal((await run()).wanted, true);
  assert.equal((await run()).wanted, false, "it counts once");
  await clock.advance(1_000);
  world.report = { ...waiting, requestedAtMs: clock.monotonicMs() };
  assert.equal((await run()).wanted, true);
});

test("What to mount: a program that asks for a share wakes its NAS", async () => {
  const { world, cycle, run, done } = start({
    policy: { wake: "auto" },
    memory: { wakeAddresses: [`aa:bb:cc:dd:ee:ff@${TB_HOST}`] },
  });
  world.answering.clear();
  await run();
  assert.ok(!done.some((one) => one.startsWith("wake")));
  cycle.want();
  await run();
  assert.deepEqual(
    done.filter((one) => one.startsWith("wake")),
    [`wake aa:bb:cc:dd:ee:ff@${TB_HOST}`],
  );
});

test("A9 programs that a failover cuts off are looked up once, while the loss is only suspected, and never after a false alarm", async () => {
  const { clock, world, run, counted } = start();
  world.mounts = [MOUNT];
  world.holders = [HOLDER];
  world.answering.delete("tb");
  await run();
  await run();
  assert.equal(counted("open files"), 1);
  assert.equal((await run()).openFiles?.holders.length, 1);
  world.answering.add("tb");
  await run();
  assert.equal((await run()).openFiles, null);
  world.answering.delete("tb");
  await run();
  await clock.advance(300);
  await run();
  assert.deepEqual([counted("open files"), counted("unmount")], [2, 1]);
});

test("A9 a failed listing of open files before a failover ends no program", async () => {
  const ownProcesses = () => Promise.reject(new Error("no /proc"));
  const { world, run } = start({ driver: { ownProcesses } });
  world.mounts = [MOUNT];
  world.answering.delete("tb");
  await run();
  assert.equal((await run()).openFiles, null);
});

test("A7 while open files are checked, their last known state stays, and programs get no notice", async () => {
  const { world, cycle, run, done } = start();
  world.mounts = [{ ...MOUNT, route: null }];
  world.holders = [HOLDER];
  await run();
  const codes = () => cycle.view().conditions.map(({ code }) => code);
  assert.ok(codes().includes("waiting_for_close"));
  let during: readonly string[] = [];
  world.during = (what) => {
    if (what === "open files") during = codes();
  };
  done.length = 0;
  await run();
  assert.ok(during.includes("waiting_for_close"), during.join());
  assert.deepEqual(done, ["open files", "room free"]);
});

test("By hand: an unmount forgets the checks", async () => {
  const { world, cycle, run, done } = start();
  world.mounts = [MOUNT];
  void cycle.request({ kind: "unmount", force: false, keepUnmounted: true, waitUntilMs: 0 });
  await run("user");
  assert.deepEqual(
    done.filter((one) => /^(unmount|forget)/.test(one)),
    ["unmount", "forget m1"],
  );
});
