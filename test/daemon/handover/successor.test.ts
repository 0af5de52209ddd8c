// The old daemon's hold on the one that follows, with a program in its place that says what the test gives it.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Successor } from "../../../src/daemon/handover/successor.ts";
import { ANONYMOUS } from "../../../src/gateway/client-handle.ts";
import { NO_SESSIONS } from "../../../src/gateway/frontend/session/session-memory.ts";
import { SuspendedCalls } from "../../../src/gateway/frontend/suspended/suspended-calls.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { createManualClock } from "../../support/manual-clock.ts";

const NOTHING = {
  suspended: new SuspendedCalls(systemClock),
  deliver: async () => false,
  change() {},
};
const NEVER = new AbortController().signal;
const GO = {
  say: "go",
  door: null,
  states: { key: "", generation: 1 },
  once: [],
  sessions: NO_SESSIONS,
  secret: { text: "", unsavedBecause: null },
  questions: { questions: [], answers: [] },
} as const;
const WAIT = { clock: systemClock, deadlineMs: 30_000 };

const KEEPER = {
  descriptors: [1, 2] as const,
  environment: { KEPT: "kept" },
  takeCharge() {},
  resumeSignals() {},
  pauseSignals() {},
  giveUpCharge() {},
};

function start(t: TestContext, script: string, isNeeded = false): Successor {
  const next = new Successor({ command: process.execPath, args: ["-e", script] }, KEEPER, isNeeded);
  t.after(() => next.kill());
  return next;
}

/** Resolves when it has ended, which it does before it is ready. */
async function ended(next: Successor): Promise<void> {
  await assert.rejects(next.ready(systemClock, WAIT.deadlineMs, NEVER), /it ended with/);
}

test("B11 when the next daemon ends the service ends, unless that one's successor is in charge", async (t) => {
  const say = (...words: string[]) => words.map((say) => `process.send({ say: "${say}" });`).join(" ");
  const end = "process.send({ say: 'x' }, () => process.exit(0));";
  const stop = "process.send({ say: 'x' }, () => process.kill(process.pid, 'SIGTERM'));";
  for (const [script, endsService] of [
    [end, true],
    [`${say("moved_on")} ${end}`, false],
    [`${say("moved_on", "stopped")} ${end}`, true],
    [`${say("moved_on")} ${stop}`, true],
  ] as const) {
    const next = start(t, script);
    let isGone = false;
    void next.gone.then(() => {
      isGone = true;
    });
    await ended(next);
    await new Promise(setImmediate);
    assert.equal(isGone, endsService, script);
  }
});

test("B11 a caller that waits for a next daemon stops waiting when that one ends", async (t) => {
  const next = start(t, 'process.on("message", ({ say }) => say === "change" && process.exit(1))');
  const answered: unknown[] = [];
  const stream = { congested: null, send: () => true, answer: (id: unknown) => void answered.push(id) };
  const passing = next.join(NOTHING, systemClock);
  assert.notEqual(passing.resume({ id: 7 } as never, stream as never), null);
  passing.report("h", { kind: "ended" });
  assert.equal(await passing.deliver({ hash: "h", principal: ANONYMOUS, text: "t" }), false);
  assert.deepEqual(answered, [7]);
  assert.equal(passing.resume({ id: 8 } as never, stream as never), null);
  const still = { clock: createManualClock(), deadlineMs: 1 };
  assert.equal(await next.go(GO, undefined, still), false);
});

test("B11 a next daemon finds the service's supervisor, and whether it is needed", async (t) => {
  const { KEPT, MOUNTAINEER_SUCCESSOR: one, MOUNTAINEER_SUCCESSOR_NEEDED: needed } = process.env;
  assert.deepEqual([KEPT, one, needed], [undefined, undefined, undefined]);
  const names = '["KEPT", "MOUNTAINEER_SUCCESSOR", "MOUNTAINEER_SUCCESSOR_NEEDED"]';
  const script = `process.send({ say: "ready", version: ${names}.map((name) => process.env[name]).join(), backends: {} })`;
  for (const [isNeeded, expected] of [
    [true, "kept,1,1"],
    [false, "kept,1,"],
  ] as const) {
    const { version } = await start(t, script, isNeeded).ready(systemClock, WAIT.deadlineMs, NEVER);
    assert.equal(version, expected);
  }
});

test("B11 a next daemon that cannot be started, or refuses, reports the reason and the fix", async (t) => {
  const none = new Successor({ command: "/nowhere/node", args: [] }, KEEPER, false);
  await assert.rejects(none.ready(systemClock, WAIT.deadlineMs, NEVER), {
    code: "handover_failed",
    message: /it cannot be started: .*ENOENT/,
    hint: /continues unchanged/,
  });
  await none.stop(systemClock);
  await none.kill();
  const refusing = start(t, 'process.send({ say: "failed", message: "no", hint: "mend it" })');
  await assert.rejects(refusing.ready(systemClock, WAIT.deadlineMs, NEVER), { hint: "mend it" });
});

test("B11 a next daemon that does not stop within 10 s is killed", async (t) => {
  const clock = createManualClock();
  const ready = 'process.send({ say: "ready", version: "1", backends: {} })';
  const next = start(t, `process.on("SIGTERM", () => {}); ${ready}; setInterval(() => {}, 1_000)`);
  await next.ready(systemClock, WAIT.deadlineMs, NEVER);
  const stopping = next.stop(clock);
  await clock.advance(9_999);
  assert.ok(process.kill(next.pid ?? 0, 0));
  await clock.advance(1);
  await stopping;
  assert.throws(() => process.kill(next.pid ?? 0, 0), { code: "ESRCH" });
});
