import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { CallOperation } from "../../../src/api/operations/operations.ts";
import { writeDaemonInfo } from "../../../src/api/socket/daemon-info.ts";
import type { CommandContext } from "../../../src/cli/input/command.ts";
import {
  onceOpened,
  returningDaemon,
  withDaemonOr,
  withOperations,
} from "../../../src/cli/sessions/control-session.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { acquireHomeLock } from "../../../src/runtime/process/home-lock.ts";
import { type Clock, systemClock } from "../../../src/runtime/time/clock.ts";
import { startRig } from "../../api/management-rig.ts";
import { sampleReport } from "../../api/sample-report.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { passTimeUntil, passTimeUntilSettled } from "../../support/pass-time.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { contextOf } from "../command-context.ts";

/** A home whose lock a monitor holds that does not serve yet. */
async function startingHome(t: TestContext): Promise<string> {
  const home = await temporaryFolder(t);
  const lock = await acquireHomeLock(home, { command: "monitor", waitMs: 0, clock: systemClock });
  t.after(() => lock[Symbol.asyncDispose]());
  return home;
}

const never = new AbortController().signal;
const statusOf = (ask: CallOperation<"status">) => ask("status", null, never);

function withControl<T>(
  context: CommandContext,
  intent: "look" | "change",
  use: (ask: CallOperation<"status">) => Promise<T>,
  clock?: Clock,
): Promise<T> {
  return withOperations(context, intent, use, clock);
}

test("a changing command that finds a daemon still starting waits for its socket", async (t) => {
  const home = await startingHome(t);
  const clock = createManualClock();
  const asking = withControl(contextOf(home), "change", statusOf, clock);
  for (let round = 0; round < 3; round++) {
    await eventually(() => clock.pendingTimers === 1);
    await clock.advance(50);
  }
  await startRig(t, { home });
  await eventually(() => clock.pendingTimers === 1);
  void clock.advance(50);
  assert.deepEqual(await asking, sampleReport());
});

test("it waits 10 s and no longer, and names the process", async (t) => {
  const home = await startingHome(t);
  const clock = createManualClock();
  const asking = withControl(contextOf(home), "change", statusOf, clock);
  const startedMs = clock.monotonicMs();
  let settled = false;
  asking.catch(() => {
    settled = true;
  });
  await passTimeUntil(clock, () => settled, 500);
  const waitedMs = clock.monotonicMs() - startedMs;
  assert.ok(waitedMs >= 10_000 && waitedMs < 14_000, String(waitedMs));
  await assert.rejects(asking, (error) => {
    assert.ok(error instanceof MountaineerError);
    assert.equal(error.code, "daemon_unreachable");
    assert.match(error.message, new RegExp(`pid ${process.pid}`));
    return true;
  });
});

test("waiting for a daemon ends at once when it is cancelled", async (t) => {
  const home = await startingHome(t);
  const cancel = new AbortController();
  const clock = createManualClock();
  const asking = withControl(contextOf(home, { signal: cancel.signal }), "change", statusOf, clock);
  asking.catch(() => {});
  await eventually(() => clock.pendingTimers === 1);
  cancel.abort(new MountaineerError("aborted", "stopped by SIGINT"));
  await assert.rejects(asking, { code: "aborted" });
});

test("the engine in process is ended in every case", async (t) => {
  const home = await temporaryFolder(t);
  await assert.rejects(
    withControl(contextOf(home), "change", () => Promise.reject(new MountaineerError("timed_out", "late"))),
    { code: "timed_out" },
  );
  const lock = await acquireHomeLock(home, { command: "mount", waitMs: 0, clock: systemClock });
  await lock[Symbol.asyncDispose]();
});

test("an invalid configuration is reported with all its errors", async (t) => {
  const home = await temporaryFolder(t);
  await writeFile(join(home, "config.toml"), "[global]\nshares_rot = 1\ncheck_interval_secs = -1\n");
  for (const ask of ["look", "change"] as const) {
    await assert.rejects(withControl(contextOf(home), ask, statusOf), (error) => {
      assert.ok(error instanceof MountaineerError);
      assert.equal(error.code, "config_invalid");
      assert.match(error.message, /shares_rot/);
      assert.match(error.message, /check_interval_secs/);
      return true;
    });
  }
});

test("a command that started just before a monitor searches for it again, for 10 s and no longer", async (t) => {
  const home = await temporaryFolder(t);
  const clock = createManualClock();
  const error = new MountaineerError("already_running", "a monitor has the home");
  const opening = () => onceOpened(Promise.reject(error), () => assert.fail("there is nothing to use"));
  const noDaemon = () => assert.fail("no daemon serves");
  let tries = 0;
  const third = async () => (++tries < 3 ? opening() : { kind: "done" as const, value: "mine" });
  const asking = withDaemonOr(contextOf(home), "change", noDaemon, third, clock);
  assert.equal(await passTimeUntilSettled(clock, asking, 50), "mine");
  const beganMs = clock.monotonicMs();
  const late = withDaemonOr(contextOf(home), "change", noDaemon, opening, clock);
  await assert.rejects(passTimeUntilSettled(clock, late, 500), error);
  assert.ok(clock.monotonicMs() - beganMs >= 10_000);
  const other = new MountaineerError("home_unwritable", "no");
  await assert.rejects(
    onceOpened(Promise.reject(other), () => assert.fail()),
    other,
  );
});

test("a daemon that has gone is waited for while its record or its successor's lock exists, for 10 s and no longer", async (t) => {
  const clock = createManualClock();
  const nothing = await temporaryFolder(t);
  assert.equal(await returningDaemon(contextOf(nothing), clock), null, "at once");
  const noted = await temporaryFolder(t);
  const started_at = new Date(0).toISOString();
  await writeDaemonInfo(noted, { pid: 1, socket: join(noted, "s"), version: "0.1.0", started_at });
  for (const home of [noted, await startingHome(t)]) {
    const beganMs = clock.monotonicMs();
    assert.equal(await passTimeUntilSettled(clock, returningDaemon(contextOf(home), clock), 500), null);
    assert.ok(clock.monotonicMs() - beganMs >= 10_000, home);
  }
});
