// The cycle of one share, with every part that it asks played: what it tells them, and what it remembers.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ProbeResult } from "../../../src/network/probe/probe-result.ts";
import { EMPTY_SHARE_MEMORY, type ShareMemory } from "../../../src/reconcile/state-store.ts";
import type { TriggerReason } from "../../../src/reconcile/trigger.ts";
import type { FoundMount, MountDriver } from "../../../src/shares/drivers/mount-driver.ts";
import type { RelayedState } from "../../../src/shares/drivers/relay-contract.ts";
import { type CycleTools, ShareCycle } from "../../../src/shares/engine/share-cycle.ts";
import type { OpenFile } from "../../../src/shares/prober/prober.ts";
import type { ProofResult } from "../../../src/shares/server-proof/server-proofs.ts";
import type { RouteName, SharePolicy, ShareSpec } from "../../../src/shares/share-spec.ts";
import { createManualClock, settle } from "../../support/manual-clock.ts";
import { routeTo } from "../share-spec.ts";
import { POLICY, SPEC } from "../world.ts";

const TB_HOST = "10.0.1.2";
const HOLDER: OpenFile = { pid: 7, command: "vim", path: SPEC.mountPath, how: "fd" };
const CARRIED = {
  ...{ port: 4_000, route: "tb", phase: "carrying", server: null, encrypted: false, refusedLogon: null },
  ...{ endpoint: { address: TB_HOST, port: 445, localAddress: null }, outage: 1, outageAtMove: null },
  ...{ witness: null, epoch: 0, lastAnswerAtMs: null, unansweredSinceMs: null, routeLostAtMs: null },
  ...{ connections: 1, connectionsInAll: 1, bytesUp: 0, bytesDown: 0, longestWaitMs: 0, moves: 0 },
} as Partial<RelayedState> as RelayedState;
const MOUNT: FoundMount = {
  ...{ id: "m1", path: SPEC.mountPath, source: `//${TB_HOST}/CORE`, sameShare: true, route: "tb" },
  ...{ processGone: false, madeByDriver: true, relayPort: null },
};
const THROUGH = { ...MOUNT, relayPort: CARRIED.port };

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
    carried: null as RelayedState | null,
    check: { state: "answered", startedAtMs: 0, finishedAtMs: 0, errno: null } as ReturnType<
      CycleTools["prober"]["lastCheck"]
    >,
    holders: [] as OpenFile[],
    owner: null as string | null,
    logon: { refusal: null as string | null, may: true, accepted: false, refusedAt: [] as number[] },
    /** null: it lists, and the mount is there. */
    mountFails: "it does not list" as string | null,
    adopts: false,
    proof: async (_signal: AbortSignal): Promise<ProofResult> => ({ kind: "unproved", text: "empty" }),
    during: (_what: string): void => {},
  };
  const say = (what: string): void => {
    done.push(what);
    world.during(what);
  };
  const probes = new Map<string, number>();
  const prove = (signal: AbortSignal): Promise<ProofResult> => {
    say("prove");
    return world.proof(signal);
  };
  const tools = {
    clock,
    hostProber: {
      async probe({ host }: { host: string }, { timeoutMs }: { timeoutMs: number }) {
        probes.set(host, timeoutMs);
        const route = host === TB_HOST ? "tb" : "fallback";
        const answers = world.answering.has(route);
        return {
          ...{ verdict: answers ? "answers" : "gone", tcpAnswered: answers, reason: "no_route" },
          ...{ address: host, interfaceName: "eth0", localAddress: null, serverGuid: "aa", text: "text" },
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
    relay: {
      of: () => world.carried,
      absentSinceMs: null,
      async ready() {},
      async recount() {},
      keepEndpoints() {},
      async pause() {},
      confirm: async () => say("confirm"),
      reopen: async () => say("reopen"),
      close: async () => say("close"),
      onNotice: () => () => {},
    },
    logins: {
      status: () => world.logon,
      idOf: ({ password }: ShareSpec) => `login of ${password}`,
      nameOf: () => "name",
      attempt: (_share: unknown, run: () => Promise<unknown>) => run(),
      recall() {},
      unreachable: () => say("away"),
      requested: () => say("login asked for"),
      refused: (_share: unknown, login: string | null, text: string) => say(`${login}: ${text}`),
    },
    serverProof: {
      begin: async () => "new",
      compare: (...[, , , , signal]: [unknown, unknown, unknown, unknown, AbortSignal]) => prove(signal),
      recognise: (...[, , , , signal]: [unknown, unknown, unknown, unknown, AbortSignal]) => prove(signal),
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
    ...{ name: "rclone", cacheMs: 0, missingRequirement: async () => null, find: async () => world.mounts },
    ...{ unsent: async () => [], ownProcesses: async () => [], openFilesPath: () => SPEC.mountPath },
    async mount(_share: unknown, route: RouteName) {
      say(`mount ${route}`);
      if (world.mountFails !== null) return { ok: false, reason: "other", text: world.mountFails };
      const mount = { ...MOUNT, route, id: `m${done.length}`, relayPort: world.carried?.port ?? null };
      world.mounts = [mount];
      return { ok: true, mount, adopted: world.adopts };
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

/** A share that is not mounted, and whose servers are asked for; its driver cannot mount now. */
const startProving = () =>
  start({
    policy: { onRouteChange: "move" },
    driver: { canBeRelayed: true, missingRequirement: async () => ({ text: "no FUSE", hint: "install it" }) },
  });

for (const [reason, again] of [
  ["tick", false],
  ["proof", false],
  ["network", true],
  ["wake", true],
  ["config", true],
  ["user", true],
] as const) {
  test(`What to mount: after a failure, ${reason} ${again ? "ends the pauses" : "waits"}: mounts and proofs`, async () => {
    const mounting = start();
    await mounting.run();
    assert.equal(mounting.counted("mount tb"), 1);
    await mounting.run(reason);
    assert.equal(mounting.counted("mount tb"), again ? 2 : 1);
    const proving = startProving();
    await proving.run();
    assert.equal(proving.counted("prove"), 1);
    await proving.run(reason);
    assert.equal(proving.counted("prove"), again ? 2 : 1);
  });
}

test("A14 a person who asks for a share allows one try of its login, however many cycles wait; an unmount allows none", async () => {
  const { clock, cycle, world, run, counted } = start({
    policy: { onRouteChange: "move" },
    driver: { canBeRelayed: true },
  });
  world.proof = () => new Promise(() => {});
  const waitUntilMs = clock.monotonicMs() + 60_000;
  void cycle.request({ kind: "mount", waitUntilMs });
  for (let cycles = 0; cycles < 3; cycles++) await run("user");
  assert.ok(cycle.hasRequest);
  assert.equal(counted("login asked for"), 1);
  const unmount = { kind: "unmount", force: false, keepUnmounted: true, waitUntilMs } as const;
  void cycle.request(unmount);
  await run("user");
  assert.equal(counted("login asked for"), 1);
  await run("user");
  assert.equal(counted("login asked for"), 2, "of all shares");
});

test("A14 failed proofs are repeated once the login may be tried again", async () => {
  const { world, run, counted } = startProving();
  await run();
  world.logon.may = false;
  await run();
  world.logon.may = true;
  await run();
  await run();
  assert.equal(counted("prove"), 2);
});

test("A14 a server counts as away while none of its hosts answers", async () => {
  const { world, run, counted } = start();
  world.answering.delete("tb");
  await run();
  assert.equal(counted("away"), 0);
  world.answering.clear();
  await run();
  assert.equal(counted("away"), 1);
});

test("A13 no login is sent for a path that another home's daemon has", async () => {
  const { world, run, counted } = startProving();
  world.owner = "/home/other";
  await run();
  assert.equal(counted("prove"), 0);
});

test("A13 a check that changes nothing runs no proof", async () => {
  const { clock, cycle, counted } = startProving();
  await cycle.observe(clock.monotonicMs());
  await settle();
  assert.equal(counted("prove"), 0);
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

test("A13 a proof is valid for one address, share and login: an edit of any asks again, other edits do not", async () => {
  for (const [change, proofs] of [
    [{ username: "eve" }, 2],
    [{ password: "another" }, 2],
    [{ shareName: "OTHER" }, 2],
    [{ routes: { ...SPEC.routes, fallback: routeTo("10.0.9.9") } }, 2],
    [{ stablePath: "/elsewhere" }, 1],
  ] as const) {
    const { world, cycle, run, edit, counted } = startProving();
    world.proof = async () => ({ kind: "same", server: "s1" });
    await run();
    await run();
    edit(change);
    assert.deepEqual(cycle.view().subject.spec, { ...SPEC, ...change });
    await run();
    assert.equal(counted("prove"), proofs, JSON.stringify(change));
    assert.equal(counted("login asked for"), "username" in change || "password" in change ? 1 : 0);
  }
});

test("A13 a relay that counts no outages makes a doubt end a proof; one that counts them reports by its count", async () => {
  for (const [outage, proofs] of [
    [null, 2],
    [5, 1],
  ] as const) {
    const { world, cycle, run, counted } = startProving();
    world.proof = async () => ({ kind: "same", server: "s1" });
    await run();
    world.carried = { ...CARRIED, outage } as RelayedState;
    cycle.markUnproved();
    await run();
    assert.equal(counted("prove"), proofs);
  }
});

test("A14 the end of a share aborts its proof, and waits until the proof's files are gone", async () => {
  const { world, cycle, run } = startProving();
  const removed = Promise.withResolvers<ProofResult>();
  let signal: AbortSignal | null = null;
  world.proof = (given) => {
    signal = given;
    return removed.promise;
  };
  await run();
  let hasEnded = false;
  void cycle.end().then(() => {
    hasEnded = true;
  });
  await settle();
  assert.deepEqual([(signal as AbortSignal | null)?.aborted, hasEnded], [true, false]);
  removed.resolve({ kind: "unproved", text: "aborted" });
  await settle();
  assert.ok(hasEnded);
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
  world.during = (what) => {
    if (what === "unmount") stopping.abort();
  };
  void cycle.request({ kind: "switch", to: "tb", force: false, wait: false, waitUntilMs: 0 });
  await run("user");
  assert.ok(done.indexOf("mount tb") > done.indexOf("unmount"), done.join());
});

const refused = (text: string) => ({ ...CARRIED, refusedLogon: { text, atMs: 0 } }) as RelayedState;

test("A14 a login that is refused in use is the one that mounted, whatever has since been configured", async () => {
  const { world, run, edit, done } = start({ spec: { ...SPEC, password: "first" } });
  world.carried = CARRIED;
  world.mountFails = null;
  await run();
  world.carried = refused("expired");
  assert.equal((await run()).login?.refusedAs, "same");
  edit({ password: "second" });
  assert.equal((await run()).login?.refusedAs, "other");
  assert.deepEqual(
    [...new Set(done.filter((one) => one.endsWith(": expired")))],
    ["login of first: expired"],
  );
});

test("A14 for an existing mount, a refused login is the configured one until that is edited or let through again", async () => {
  const { world, run, edit, done } = start({ spec: { ...SPEC, password: "first" } });
  world.carried = CARRIED;
  world.mountFails = null;
  world.adopts = true;
  await run();
  world.carried = refused("expired");
  assert.equal((await run()).login?.refusedAs, "same");
  edit({ password: "second" });
  assert.equal((await run()).login?.refusedAs, "other");
  world.mounts = [];
  world.carried = CARRIED;
  await run("user");
  world.carried = refused("expired");
  assert.equal((await run()).login?.refusedAs, "same", "another mount that was there");
  assert.ok(done.includes("null: expired"));
  world.logon.accepted = true;
  world.holders = [HOLDER];
  await run();
  assert.ok(done.includes("reopen"));
  assert.equal((await run()).login?.refusedAs, "other");
});

test("A14 a password that was missing does not differ from the one that a mount was made with", async () => {
  for (const [missingVariable, shut] of [
    ["NAS_PASSWORD", "same"],
    [null, "other"],
  ] as const) {
    const { world, run, edit } = start({ spec: { ...SPEC, missingVariable } });
    world.mounts = [THROUGH];
    world.carried = refused("expired");
    await run();
    edit({ password: "found", missingVariable: null });
    assert.equal((await run()).login?.refusedAs, shut);
  }
});

test("A14 a server that is proved again reveals nothing about the login", async () => {
  const { world, run, done } = start({ policy: { onRouteChange: "move" }, driver: { canBeRelayed: true } });
  world.mounts = [THROUGH];
  world.proof = async () => ({ kind: "same", server: "first" });
  world.carried = { ...CARRIED, phase: "unconfirmed" };
  await run();
  await run();
  assert.ok(done.includes("confirm"), done.join());
  world.carried = refused("expired");
  assert.equal((await run()).login?.refusedAs, "same");
});

test("A14 a folder has no login", async () => {
  const { run } = start({
    spec: { ...SPEC, driver: "local", routes: { tb: routeTo(null), fallback: routeTo(null) } },
  });
  assert.equal((await run()).login, null);
});

const OUT = { ...CARRIED, phase: "waiting", routeLostAtMs: -60_000 } as const;
const LOOKED_LONG_AGO = { state: "answered", startedAtMs: 0, finishedAtMs: -60_000, errno: null } as const;

for (const [what, driver, before, after, look, expected] of [
  ["a connection", "rclone", OUT, { connectionsInAll: 2 }, null, true],
  [
    "bytes in an outage beyond the patience",
    "rclone",
    { ...OUT, phase: "refusing" },
    { bytesUp: 9 },
    null,
    true,
  ],
  ["nothing", "rclone", OUT, {}, null, false],
  ["a connection while a route carries", "rclone", CARRIED, { connectionsInAll: 2 }, null, false],
  ["a connection of our own file system", "fs", OUT, { connectionsInAll: 2 }, null, false],
  [
    "a connection just after our look",
    "rclone",
    OUT,
    { bytesUp: 9 },
    { ...LOOKED_LONG_AGO, finishedAtMs: 1_000 },
    false,
  ],
  [
    "a connection while our look hangs, just after the loss",
    ...["rclone", { ...OUT, routeLostAtMs: 500 }, { bytesUp: 9 }],
    ...[{ state: "pending", startedAtMs: 0 }, false],
  ],
  [
    "a connection while our look hangs, long after the loss",
    ...["rclone", OUT, { bytesUp: 9 }, { state: "pending", startedAtMs: 0 }, true],
  ],
  [
    "a connection while our look hangs and all are refused",
    ...["rclone", { ...OUT, phase: "refusing" }, { bytesUp: 9 }, { state: "pending", startedAtMs: 0 }, false],
  ],
] as readonly (readonly [
  string,
  ShareSpec["driver"],
  RelayedState,
  Partial<RelayedState>,
  object | null,
  boolean,
])[]) {
  test(`A14 ${what} is ${expected ? "a" : "no"} program that asks for the share`, async () => {
    const { world, run } = start({ spec: { ...SPEC, driver } });
    world.answering.clear();
    world.mounts = [THROUGH];
    world.check = { ...LOOKED_LONG_AGO, ...look } as typeof world.check;
    world.carried = before;
    assert.equal((await run()).wanted, false);
    world.carried = { ...before, ...after };
    assert.equal((await run()).wanted, expected);
    assert.equal((await run()).wanted, false, "it counts once");
  });
}

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

test("A10 a host that was slow keeps its time while programs wait, and a request without an answer hurries the route in use", async () => {
  const { world, run, probes } = start();
  world.mounts = [THROUGH];
  world.carried = CARRIED;
  world.tookMs.tb = 200;
  const limits = () => [...probes.values()];
  await run();
  await run("stalled");
  assert.deepEqual(limits(), [300, POLICY.connectTimeoutMs]);
  world.carried = { ...CARRIED, phase: "waiting" };
  await run();
  assert.deepEqual(limits(), [POLICY.connectTimeoutMs, 300]);
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

for (const mount of [MOUNT, THROUGH]) {
  test(`By hand: an unmount forgets the checks${mount === MOUNT ? "" : ", and closes the relay's port"}`, async () => {
    const { world, cycle, run, done } = start();
    world.mounts = [mount];
    if (mount === THROUGH) world.carried = CARRIED;
    void cycle.request({ kind: "unmount", force: false, keepUnmounted: true, waitUntilMs: 0 });
    await run("user");
    const expected = ["unmount", "forget m1", ...(mount === THROUGH ? ["close"] : [])];
    assert.deepEqual(
      done.filter((one) => /^(unmount|forget|close)/.test(one)),
      expected,
    );
  });
}
