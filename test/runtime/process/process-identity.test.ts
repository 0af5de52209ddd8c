// Real processes: zombies, reused pids, children that do not want to end.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import path, { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { describe, it, type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { runCommand } from "../../../src/runtime/process/child-process.ts";
import { findProgram, isProgram } from "../../../src/runtime/process/find-program.ts";
import {
  endProcess,
  groupsGone,
  isRunning,
  processIdentity,
} from "../../../src/runtime/process/process-identity.ts";
import { parsePs, processStartDarwin } from "../../../src/runtime/process/process-identity-darwin.ts";
import { parseStat } from "../../../src/runtime/process/process-identity-linux.ts";
import { systemClock as clock } from "../../../src/runtime/time/clock.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { passTimeUntilSettled } from "../../support/pass-time.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

/** `trap`: what it does when it is told to end. */
async function startChild(t: TestContext, trap?: string) {
  const trapping = trap === undefined ? "" : `trap '${trap}' TERM;`;
  const child = spawn("sh", ["-c", `${trapping} echo up; while :; do sleep 0.05; done`], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  t.after(() => child.kill("SIGKILL"));
  const exit = once(child, "exit");
  await once(child.stdout, "data");
  const identity = await processIdentity(child.pid ?? 0);
  assert.ok(identity);
  return { exit, identity };
}

describe("identity", () => {
  it("is the same each time and differs between processes", async (t) => {
    const own = await processIdentity(process.pid);
    assert.ok(own);
    assert.deepEqual(await processIdentity(process.pid), own);
    assert.equal(await isRunning(own), true);
    const { identity: other } = await startChild(t);
    assert.notEqual(other.startTime, own.startTime);
  });

  it("treats a pid with another start time as another process", async () => {
    const own = await processIdentity(process.pid);
    assert.ok(own);
    assert.equal(await isRunning({ ...own, startTime: `${own.startTime}0` }), false);
  });

  it("finds nothing under invalid pids", async () => {
    for (const pid of [0, -1, 1.5, Number.NaN, 2 ** 31]) assert.equal(await processIdentity(pid), null);
  });

  it("does not take a zombie for running", {
    skip: process.platform !== "linux" && "reads /proc",
  }, async (t) => {
    // The shell becomes a sleep that never waits for the child it started before, which ends with its input.
    const parent = spawn("sh", ["-c", "cat <&3 & echo $!; exec sleep 600"], {
      stdio: ["ignore", "pipe", "ignore", "pipe"],
    });
    t.after(() => parent.kill("SIGKILL"));
    const [, stdout, , input] = parent.stdio;
    assert.ok(stdout instanceof Readable && input instanceof Writable);
    const [line] = await once(stdout, "data");
    const pid = Number(String(line));
    await eventually(async () => (await readFile(`/proc/${parent.pid}/comm`, "utf8")) === "sleep\n");
    input.end();
    const stat = await eventually(async () => {
      const text = await readFile(`/proc/${pid}/stat`, "utf8");
      return text.includes(") Z ") && text;
    });
    assert.equal(parseStat(stat), null);
    assert.equal(await processIdentity(pid), null);
  });

  it("reads the start time behind a name with spaces and parentheses", () => {
    const rest = "S 1 2 3 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 2";
    assert.equal(parseStat(`42 (a) b) ) ${rest}`), "987654");
    assert.equal(parseStat(`42 (x) ${rest.replace("S", "Z")}`), null);
    assert.equal(parseStat(""), null);
  });

  it("counts a process as running whose first thread has ended while others run", () => {
    const threads = (count: number): string =>
      `42 (node) Z 1 2 3 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 ${count} 0 987654 1000 2`;
    assert.equal(parseStat(threads(2)), "987654");
    assert.equal(parseStat(threads(1)), null);
  });

  it("reads the output of ps, whatever the day's width", () => {
    assert.equal(parsePs("Ss   Mon Nov  2 08:10:00 2026    \n"), "Mon Nov 2 08:10:00 2026");
    assert.equal(parsePs("Z+   Mon Nov  2 08:10:00 2026\n"), null);
    assert.equal(parsePs(""), null);
    assert.equal(parsePs("\n"), null);
  });

  it("calls a real ps the way macOS needs it", async (t) => {
    try {
      await runCommand("ps", ["-p", "1"], { clock, deadlineMs: 60_000 });
    } catch {
      t.skip("needs ps");
      return;
    }
    assert.match((await processStartDarwin(process.pid)) ?? "", /^\w{3} \w{3} \d+ \d\d:\d\d:\d\d \d{4}$/u);
    assert.equal(await processStartDarwin(2 ** 22 + 1), null);
  });
});

describe("endProcess", () => {
  it("ends a willing process by SIGTERM and waits until it is gone", async (t) => {
    const { exit, identity } = await startChild(t);
    assert.equal(await endProcess(identity, { clock, graceMs: 60_000, deadlineMs: 60_000 }), true);
    assert.equal(await isRunning(identity), false);
    assert.deepEqual(await exit, [null, "SIGTERM"]);
  });

  it("kills one that ignores SIGTERM after the grace", async (t) => {
    const { exit, identity } = await startChild(t, "");
    const time = createManualClock();
    const startedAtMs = time.monotonicMs();
    const ending = endProcess(identity, { clock: time, graceMs: 150, deadlineMs: 60_000 });
    for (let waitedMs = 0; waitedMs < 149; waitedMs++) {
      await eventually(() => time.pendingTimers === 1);
      await time.advance(1);
    }
    assert.equal(await isRunning(identity), true);
    assert.equal(await passTimeUntilSettled(time, ending, 1), true);
    assert.ok(time.monotonicMs() - startedAtMs >= 150);
    assert.deepEqual(await exit, [null, "SIGKILL"]);
  });

  it("kills at once without a grace", async (t) => {
    const { exit, identity } = await startChild(t, "exit 0");
    assert.equal(await endProcess(identity, { clock, graceMs: 0, deadlineMs: 60_000 }), true);
    assert.deepEqual(await exit, [null, "SIGKILL"]);
  });

  it("does not touch the process that has the pid now", async (t) => {
    const { identity } = await startChild(t);
    const earlier = { ...identity, startTime: "0:1" };
    assert.equal(await endProcess(earlier, { clock, graceMs: 0, deadlineMs: 60_000 }), true);
    assert.equal(await isRunning(identity), true);
  });

  it("gives up at the deadline", async (t) => {
    const { identity } = await startChild(t, "");
    assert.equal(await endProcess(identity, { clock, graceMs: 60_000, deadlineMs: 100 }), false);
  });

  it("waits for a group until it is gone, for half a minute at most", async (t) => {
    const child = spawn("sleep", ["600"], { detached: true, stdio: "ignore" });
    t.after(() => child.kill("SIGKILL"));
    const [time, group] = [createManualClock(), child.pid ?? 0];
    const startedMs = time.monotonicMs();
    const late = groupsGone([group], time);
    while (time.pendingTimers > 0) await time.advance(1_000);
    await late;
    assert.equal(time.monotonicMs() - startedMs, 30_000);
    const gone = groupsGone([group], clock);
    child.kill("SIGKILL");
    await gone;
  });
});

/** Two folders, `a` and `b`. */
async function twoFolders(t: TestContext) {
  const folder = await temporaryFolder(t);
  const [a, b] = [join(folder, "a"), join(folder, "b")];
  await mkdir(a);
  await mkdir(b);
  return { folder, a, b };
}

async function makeProgram(path: string): Promise<void> {
  await writeFile(path, "#!/bin/sh\n");
  await chmod(path, 0o755);
}

it("finds the first that has the name", async (t) => {
  const { a, b } = await twoFolders(t);
  await makeProgram(join(b, "tool"));
  assert.equal(await findProgram("tool", [a, b]), join(b, "tool"));
  await makeProgram(join(a, "tool"));
  assert.equal(await findProgram("tool", [a, b]), join(a, "tool"));
  assert.equal(await findProgram("tool", [b, a]), join(b, "tool"));
  assert.equal(await findProgram("other", [a, b]), null);
});

it("skips folders, and files that may not be executed", async (t) => {
  const { a, b } = await twoFolders(t);
  await mkdir(join(a, "folder"));
  await writeFile(join(a, "text"), "");
  for (const name of ["folder", "text"]) {
    await makeProgram(join(b, name));
    assert.equal(await findProgram(name, [a, b]), join(b, name));
  }
});

it("skips invalid folders, and never searches the current folder", async (t) => {
  const { folder, a } = await twoFolders(t);
  await makeProgram(join(a, "tool"));
  assert.equal(await findProgram("tool", ["", join(folder, "none"), join(a, "tool")]), null);
  assert.equal(await findProgram(join(a, "tool"), [""]), null);
});

it("follows links to a program, and skips dangling ones", async (t) => {
  const { a, b } = await twoFolders(t);
  await makeProgram(join(b, "tool"));
  await symlink(join(b, "tool"), join(a, "alias"));
  await symlink(join(b, "none"), join(a, "broken"));
  assert.equal(await isProgram(join(a, "alias")), true);
  assert.equal(await isProgram(join(a, "broken")), false);
});

// The script that stays a service manager's process.
const KEEPER = path.resolve(import.meta.dirname, "../../../bin/service-keeper.sh");

test("B11 a disk without space for the supervisor's pipes does not prevent a daemon from starting", async () => {
  const env = { PATH: process.env["PATH"], TMPDIR: "/proc/nowhere" };
  const { stdout, stderr } = await promisify(execFile)(
    "/bin/sh",
    [KEEPER, "/bin/sh", "-c", 'echo "runs $1, kept: ${MOUNTAINEER_KEEPER-no}"', "x", "a b"],
    { env },
  );
  assert.equal(stdout, "runs a b, kept: no\n");
  assert.match(stderr, /mountaineer: runs without its keeper, so it cannot hand over: no temporary folder/);
});
