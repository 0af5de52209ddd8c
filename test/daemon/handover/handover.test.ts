// The old daemon's side of a handover, with real processes in the place of those that follow it.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Handover, type OwnedResources } from "../../../src/daemon/handover/handover.ts";
import { createServiceRelease, type HandingGateway } from "../../../src/daemon/handover/service-release.ts";
import { Successor } from "../../../src/daemon/handover/successor.ts";
import { OtherDaemons } from "../../../src/gateway/frontend/session/other-daemons.ts";
import { NO_SESSIONS } from "../../../src/gateway/frontend/session/session-memory.ts";
import {
  type ResumingDaemon,
  SuspendedCalls,
} from "../../../src/gateway/frontend/suspended/suspended-calls.ts";
import { OwnerQuestions } from "../../../src/gateway/middleware/owner-questions.ts";
import { whenAborted } from "../../../src/runtime/abort.ts";
import { type Clock, systemClock } from "../../../src/runtime/time/clock.ts";
import { assertEach } from "../../support/assert-each.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock, settle } from "../../support/manual-clock.ts";
import { passTimeUntilSettled } from "../../support/pass-time.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const PROGRAM = join(import.meta.dirname, "fixtures/next-daemon.ts");
const KEEPER = {
  descriptors: [1, 2] as const,
  environment: {},
  takeCharge() {},
  resumeSignals() {},
  pauseSignals() {},
  giveUpCharge() {},
};

interface Given extends Partial<OwnedResources> {
  readonly ends?: string;
  readonly args?: readonly string[];
  readonly clock?: Clock;
}

async function setUp(t: TestContext, { ends = "1", args = [PROGRAM], clock, ...more }: Given = {}) {
  const folder = await temporaryFolder(t);
  const logger = createRecordingLogger();
  /** What the service's keeper was asked for, and when the home was given up. */
  const steps: string[] = [];
  const heard: unknown[] = [];
  const linked: (number | null)[] = [];
  const owned: OwnedResources = {
    mustServe: () => [],
    config: () => KEEPER,
    changes: () => 0,
    unsavedBecause: () => null,
    listener: () => null,
    handed: () => ({
      states: { key: "", generation: 0 },
      once: [],
      sessions: { ...NO_SESSIONS, ended: [[`after ${linked.length}`, ""]] },
      secret: { text: "", unsavedBecause: null },
      questions: { questions: [], answers: [] },
    }),
    link(next) {
      linked.push(next.pid);
      const deliver = async (message: unknown): Promise<boolean> => heard.push(message) > 0;
      next.join({ suspended: new SuspendedCalls(systemClock), deliver, change() {} }, systemClock);
    },
    runOnce: () => [],
    async giveUp() {
      steps.push("give up");
    },
    ...more,
  };
  const handover: Handover = new Handover({
    program: { command: process.execPath, args: [...args, folder, ends] },
    supervisor: {
      ...KEEPER,
      pauseSignals: () => void steps.push("pause"),
      resumeSignals: () => void steps.push("resume"),
    },
    owned,
    clock: clock ?? systemClock,
    logger,
  });
  t.after(async () => {
    await handover[Symbol.asyncDispose]();
    await handover.successor?.kill();
  });
  const pidOf = async (name: string): Promise<number> => Number(await readFile(join(folder, name), "utf8"));
  const isStarted = (name: string): boolean => existsSync(join(folder, name));
  return { folder, handover, pidOf, isStarted, steps, heard, linked, logger };
}

function assertGone(pid: number): void {
  assert.throws(() => process.kill(pid, 0), { code: "ESRCH" });
}

const NEVER = new AbortController().signal;

test("B11 the daemon that finally takes over gets the sessions as they are just then", async (t) => {
  const { folder, handover, pidOf, steps, heard, linked } = await setUp(t);
  const beginning = handover.begin(NEVER);
  await assert.rejects(handover.begin(NEVER), /under way already/);
  const { to } = await beginning;
  assert.equal(to, await pidOf("first"));
  await assert.rejects(handover.begin(NEVER), /under way already/);
  const next = await handover.done;
  assert.notEqual(next?.pid, to);
  await assert.rejects(handover.begin(NEVER), /under way already/);
  const { ended } = JSON.parse(await readFile(join(folder, "go"), "utf8"));
  assert.deepEqual(ended, [["after 2", ""]]);
  assert.deepEqual(steps, ["pause", "give up", "pause", "resume", "pause"]);
  assert.deepEqual(linked, [to, next?.pid]);
  await eventually(() => heard.length > 0);
  assert.deepEqual(heard, [{ say: "words", hash: "h", text: "t" }]);
  // It is in charge, and lives on when the service here stops.
  await handover[Symbol.asyncDispose]();
  assert.ok(process.kill(next?.pid ?? 0, 0));
});

test("B11 a next daemon that ends before it is ready is reported with how it ended", async (t) => {
  for (const [program, how] of [
    ["process.exit(3)", /it ended with 3 before it was ready/],
    ["process.kill(process.pid, 'SIGKILL')", /it ended with SIGKILL before it was ready/],
  ] as const) {
    const { handover } = await setUp(t, { args: ["-e", program, "--"] });
    await assert.rejects(handover.begin(NEVER), how);
    assert.equal(handover.successor, null);
  }
});

test("B11 if this does not end, the old daemon stays in charge", async (t) => {
  let said = 0;
  const { handover, isStarted } = await setUp(t, { changes: () => said++ });
  await assert.rejects(handover.begin(NEVER), { code: "handover_failed" });
  assert.equal(handover.successor, null);
  assert.deepEqual(["first", "1", "2", "3"].map(isStarted), [true, true, true, false]);
});

test("B11 A5 a state of the shares that the next daemon could not know keeps the old one in charge", async (t) => {
  const { handover } = await setUp(t, { unsavedBecause: () => "ENOSPC: no space left on device" });
  await assert.rejects(handover.begin(NEVER), /cannot be saved for it: ENOSPC/);
  assert.equal(handover.successor, null);
});

test("B11 a next daemon that is not ready in time, or no longer wanted, ends", async (t) => {
  const clock = createManualClock();
  const { handover, pidOf } = await setUp(t, { ends: "slow", clock });
  const late = assert.rejects(handover.begin(NEVER), /it was not ready after 60 s/);
  const first = await eventually(() => pidOf("first"));
  await clock.advance(60_000);
  await late;
  assertGone(first);
  const asker = new AbortController();
  const cancelled = assert.rejects(handover.begin(asker.signal));
  const second = await eventually(() => pidOf("1"));
  asker.abort();
  await cancelled;
  assertGone(second);
  const stopped = assert.rejects(handover.begin(NEVER), /it ended with SIGKILL/);
  const third = await eventually(() => pidOf("2"));
  await handover[Symbol.asyncDispose]();
  await stopped;
  assertGone(third);
});

test("B11 a next daemon that does not take over in 30 s is ended, and replaced by another", async (t) => {
  const clock = createManualClock();
  const { handover, pidOf, isStarted } = await setUp(t, { ends: "deaf once", clock });
  await handover.begin(NEVER);
  await eventually(() => isStarted("go"));
  const next = await passTimeUntilSettled(clock, handover.done, 1_000);
  assert.equal(next?.pid, await pidOf("1"));
  assertGone(await pidOf("first"));
});

test("B11 B6 a next daemon that has read the file from before an edit is replaced by one that has read the new file", async (t) => {
  const [before, after] = [{}, {}];
  const { handover, pidOf, isStarted } = await setUp(t, {
    ends: "older",
    // `removed` is no longer in the file.
    mustServe: () => ["b1", "removed"],
    config: () => (isStarted("first") ? after : before),
  });
  const { to } = await handover.begin(NEVER);
  assert.notEqual(to, await pidOf("first"));
  assert.equal((await handover.done)?.pid, to);
});

test("B11 B6 a file that is edited during each attempt does not prevent a handover", async (t) => {
  const last = {};
  const { handover, pidOf, isStarted } = await setUp(t, {
    ends: "0",
    config: () => (isStarted("2") ? last : {}),
  });
  const { to } = await handover.begin(NEVER);
  assert.equal(to, await pidOf("2"));
  assert.equal((await handover.done)?.pid, to);
});

test("B11 B6 a file that is edited again and again uses up only its own attempts of a handover", async (t) => {
  const { handover, isStarted } = await setUp(t, {
    ends: "failing",
    mustServe: () => ["b1"],
    config: () => ({}),
  });
  await assert.rejects(handover.begin(NEVER), /b1 would not serve there/);
  assert.deepEqual(["2", "3"].map(isStarted), [true, false]);
});

test("B11 without an edit, a backend that would not serve in the next daemon prevents a handover", async (t) => {
  const { handover, pidOf } = await setUp(t, { ends: "older", mustServe: () => ["b1"] });
  await assert.rejects(handover.begin(NEVER), /b1 would not serve there/);
  assert.equal(handover.successor, null);
  assertGone(await pidOf("first"));
  assert.equal((await handover.begin(NEVER)).to, await pidOf("1"), "nothing is under way any more");
  await handover.done;
});

test("B11 B6 changes and edits by a command in progress at the line are known to the one that takes over", async (t) => {
  for (const what of ["changes", "config"]) {
    let [changes, config] = [0, {}];
    const { handover, pidOf } = await setUp(t, {
      ends: "0",
      changes: () => changes,
      config: () => config,
      async giveUp() {
        if (what === "changes") changes += 1;
        else config = {};
      },
    });
    assert.equal((await handover.begin(NEVER)).to, await pidOf("first"));
    const next = await handover.done;
    assert.notEqual(next?.pid, await pidOf("first"), what);
    assertGone(await pidOf("first"));
  }
});

test("B11 B6 parts that start after the line is crossed know that no other daemon has the home", async (t) => {
  const { folder, handover } = await setUp(t, { ends: "2" });
  await handover.begin(NEVER);
  await handover.done;
  assert.equal(await readFile(join(folder, "needed"), "utf8"), "undefined\n1\n1\n");
});

test("B11 once the line is crossed next daemons are started until one has taken over, however often that fails", async (t) => {
  const { folder, handover } = await setUp(t, { ends: "5" });
  await handover.begin(NEVER);
  const next = await handover.done;
  assert.equal(String(next?.pid), await readFile(join(folder, "5"), "utf8"));
});

test("B11 the second next daemon is started at once, and the third after a pause", async (t) => {
  const clock = createManualClock();
  const { handover, logger } = await setUp(t, { ends: "2", clock });
  await handover.begin(NEVER);
  const failed = (count: number) =>
    eventually(async () => {
      await clock.advance(0);
      return (
        logger.lines.filter(({ level }) => level === "error").length === count && clock.pendingTimers > 0
      );
    });
  await failed(2);
  const second = handover.successor;
  await clock.advance(249);
  assert.equal(handover.successor, second);
  await clock.advance(1);
  assert.notEqual(handover.successor, second);
  assert.equal(await passTimeUntilSettled(clock, handover.done, 10), handover.successor);
});

test("B11 starts another next daemon if one ends as soon as it has taken over", async (t) => {
  const { handover, pidOf, steps, logger } = await setUp(t, { ends: "brief" });
  await handover.begin(NEVER);
  assert.equal((await handover.done)?.pid, await pidOf("first"));
  const lasting = await handover.lasting;
  assert.equal(lasting?.pid, await pidOf("1"));
  assert.equal(handover.successor, lasting);
  assert.deepEqual(steps, ["pause", "give up", "pause", "resume", "pause"], "it hears a stop between them");
  const errors = logger.lines.filter(({ level }) => level === "error");
  assertEach(errors, ({ message }) => message, ["the new daemon ended just after it had taken over"]);
});

test("B11 leaves the service to its manager when each next daemon ends, or one was stopped", async (t) => {
  for (const [ends, started] of [
    ["briefer", ["first", "1", "2", "3"]],
    ["brief stop", ["first"]],
  ] as const) {
    const { handover, isStarted } = await setUp(t, { ends });
    await handover.begin(NEVER);
    assert.equal(await handover.lasting, null);
    assert.deepEqual(["first", "1", "2", "3", "4"].filter(isStarted), started);
  }
});

test("B11 the old daemon stays until the next one has lasted 2 s, or until it is stopped", async (t) => {
  const clock = createManualClock();
  const { handover } = await setUp(t, { ends: "0", clock });
  await handover.begin(NEVER);
  await handover.done;
  let lasting: Successor | null | undefined;
  void handover.lasting.then((found) => {
    lasting = found;
  });
  await clock.advance(1_999);
  assert.equal(lasting, undefined);
  await clock.advance(1);
  assert.equal(lasting, handover.successor);
  const stopped = await setUp(t, { ends: "0", clock });
  await stopped.handover.begin(NEVER);
  await stopped.handover.done;
  await stopped.handover[Symbol.asyncDispose]();
  assert.equal(await stopped.handover.lasting, null);
});

test("B11 a next daemon that was asked to stop during its takeover is not followed by another", async (t) => {
  const { folder, handover } = await setUp(t, { ends: "stopped" });
  await handover.begin(NEVER);
  assert.equal(await handover.done, null);
  assert.equal(existsSync(join(folder, "1")), false);
});

test("B11 an old daemon that is asked to stop during a takeover also ends the takeover", async (t) => {
  const { handover, pidOf, isStarted, logger } = await setUp(t, { ends: "deaf" });
  await handover.begin(NEVER);
  await eventually(() => isStarted("go"));
  await handover[Symbol.asyncDispose]();
  assertGone(await pidOf("first"));
  assert.deepEqual(["stopped", "1"].map(isStarted), [true, false], "it was stopped, not killed");
  const errors = logger.lines.filter(({ level }) => level === "error");
  assertEach(errors, ({ message }) => message, ["the new daemon ended before it had taken over"]);
});

// What the running service gives up when it hands over, and how long it stays.

/** A service without a gateway, unless `parts` has one, and a next daemon that never says anything, unless `script` does. */
async function setUpHanding(
  t: TestContext,
  { before, script = "setInterval(() => {}, 1000)", parts = {} }: HandingGiven = {},
) {
  const clock = createManualClock();
  const snapshot = { config: { server: null, backends: [] } };
  const given = {
    clock,
    memory: { flush: async () => {}, saveError: null },
    force: new AbortController(),
    triggers: { stop() {} },
    required: { rest() {} },
    config: {
      watcher: { running: { snapshot, sha256: "", generation: 1 } },
      async [Symbol.asyncDispose]() {},
    },
    parts: { async [Symbol.asyncDispose]() {} },
    // The fleet's server hangs, and its connection does not end.
    fleet: { handOver: () => new Promise<never>(() => {}) },
    gateway: { handing: null },
    gatewayOwn: {
      handOver: async () => {},
      writes: { changes: 0 },
      sessionSecret: () => ({ bytes: Buffer.from("secret"), unsavedBecause: null }),
      suspended: new SuspendedCalls(clock),
      questions: new OwnerQuestions(clock),
      others: new OtherDaemons<ResumingDaemon>(),
    },
    previous: before === undefined ? undefined : { gone: before, ended: before, once: [] },
    ...parts,
  };
  const handing = createServiceRelease(given);
  const next = new Successor({ command: process.execPath, args: ["-e", script] }, KEEPER, false);
  t.after(() => next.kill());
  return { clock, handing, next, given };
}

interface HandingGiven {
  readonly before?: Promise<void>;
  readonly script?: string;
  readonly parts?: Partial<Parameters<typeof createServiceRelease>[0]>;
}

test("B11 G1 a daemon hands over while the server of its fleet hangs", async (t) => {
  const { handing } = await setUpHanding(t);
  await handing.giveUp();
});

test("B11 a daemon that hands over its home ends its steps and saves everything first, the state of the shares last", async (t) => {
  const steps: string[] = [];
  const ends = (name: string) => ({ [Symbol.asyncDispose]: async () => void steps.push(name) });
  const running = { snapshot: { config: { server: null, backends: [] } }, sha256: "", generation: 1 };
  const written = Promise.withResolvers<void>();
  const { clock, handing, given } = await setUpHanding(t, {
    parts: {
      triggers: { stop: () => void steps.push("triggers") },
      required: { rest: () => void steps.push("required") },
      config: { watcher: { running }, ...ends("config") },
      parts: ends("parts"),
      memory: { flush: async () => void steps.push("state"), saveError: null },
      // The keyring does not answer.
      gateway: { handing: gateway({ save: () => new Promise<never>(() => {}) }) },
    },
  });
  given.gatewayOwn.handOver = () => written.promise;
  const giving = handing.giveUp();
  await clock.advance(1_999);
  assert.deepEqual(steps, ["triggers", "required", "config"]);
  await clock.advance(1);
  await eventually(() => steps.includes("parts"));
  await settle();
  assert.equal(steps.includes("state"), false, "what commands have changed is still being written");
  written.resolve();
  await giving;
  assert.deepEqual(steps, ["triggers", "required", "config", "parts", "state"]);
  assert.equal(given.force.signal.aborted, false);
});

test("B11 a step of the shares that does not finish is aborted after 15 s", async (t) => {
  const force = new AbortController();
  const parts = { [Symbol.asyncDispose]: () => whenAborted(force.signal) };
  const { clock, handing } = await setUpHanding(t, { parts: { force, parts } });
  const giving = handing.giveUp();
  await clock.advance(14_999);
  assert.equal(force.signal.aborted, false);
  await clock.advance(1);
  await giving;
});

test("B11 only backends that serve here, and can run twice, must serve in the next daemon", async (t) => {
  const backends = [
    { name: "serves", replace: "start-first", requires: [] },
    { name: "alone", replace: "stop-first", requires: [] },
    { name: "on a share", replace: "start-first", requires: ["CORE"] },
    { name: "off", replace: "start-first", requires: [] },
    { name: "fails", replace: "start-first", requires: [] },
  ];
  const view = {
    backends: backends.map(({ name }) => ({
      name,
      enabled: name !== "off",
      phase: name === "fails" ? "Failed" : "Ready",
    })),
  };
  const config = { server: null, backends: backends as never };
  const { handing } = await setUpHanding(t, {
    parts: {
      config: {
        watcher: { running: { snapshot: { config }, sha256: "", generation: 1 } },
        async [Symbol.asyncDispose]() {},
      },
      gateway: { handing: gateway({ view: () => view as never }) },
    },
  });
  assert.deepEqual(handing.mustServe(), ["serves"]);
});

for (const last of ["here", "in the daemon before"]) {
  test(`B11 the next daemon is notified when parts that cannot run twice have ended here and in the daemon before, ${last} last`, async (t) => {
    const left = spawn("sleep", ["60"], { detached: true, stdio: "ignore" });
    t.after(() => left.kill("SIGKILL"));
    const before = Promise.withResolvers<void>();
    const script = 'process.on("message", ({ say }) => say === "ended" && process.exit(0))';
    const { clock, handing, next } = await setUpHanding(t, {
      script,
      parts: {
        previous: { gone: Promise.resolve(), ended: before.promise, once: [99_999_999] },
        gateway: {
          handing: gateway({
            pool: { runOncePids: [left.pid ?? 0] } as never,
            leave: (_graceMs, onEnded) => onEnded(),
          }),
        },
      },
    });
    assert.deepEqual(handing.runOnce(), [left.pid, 99_999_999]);
    let isGone = false;
    const leaving = handing.leave(next).then(() => {
      isGone = true;
    });
    const isWaiting = async (): Promise<void> => {
      await clock.advance(1_000);
      assert.equal(isGone, false);
    };
    const endHere = async (): Promise<void> => {
      const exit = once(left, "exit");
      left.kill("SIGKILL");
      await exit;
    };
    await isWaiting();
    if (last === "here") before.resolve();
    else await endHere();
    await isWaiting();
    if (last === "here") await endHere();
    else before.resolve();
    await passTimeUntilSettled(clock, Promise.all([leaving, next.gone]), 10);
  });
}

/** A gateway with nothing in it but what the test gives it. */
function gateway(parts: Partial<HandingGateway>): HandingGateway {
  return { save: async () => {}, pool: { runOncePids: [] }, ...parts } as HandingGateway;
}

test("B11 a daemon between two others stays until the one before it has ended, or its time is over", async (t) => {
  for (const ends of [true, false]) {
    const before = Promise.withResolvers<void>();
    const { clock, handing, next } = await setUpHanding(t, { before: before.promise });
    let isGone = false;
    const leaving = handing.leave(next).then(() => {
      isGone = true;
    });
    await clock.advance(29_999);
    assert.equal(isGone, false);
    if (ends) before.resolve();
    else await clock.advance(1);
    await leaving;
  }
});
