// Real processes that want one home: who wins, what the others hear, and what a kill -9 leaves.

import assert from "node:assert/strict";
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { describe, it, type TestContext } from "node:test";
import type { MountaineerError } from "../../../src/runtime/errors.ts";
import { acquireHomeLock, readLockOwner } from "../../../src/runtime/process/home-lock.ts";
import { endProcess, processIdentity } from "../../../src/runtime/process/process-identity.ts";
import { systemClock as clock } from "../../../src/runtime/time/clock.ts";
import { collect } from "../../support/collect.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { passTimeUntilSettled } from "../../support/pass-time.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { mountTmpfs } from "../../support/tiny-disk.ts";

const program = join(import.meta.dirname, "../../support/hold-home-lock.ts");

type Answer =
  | { won: true; pid: number; command: string; since: string; child?: number }
  | { won: false; code: string; message: string };

interface Contender {
  readonly process: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly answer: Answer;
  readonly stderr: () => string;
}

async function contend(t: TestContext, ...args: string[]): Promise<Contender> {
  const child = spawn(process.execPath, [program, ...args], { stdio: ["pipe", "pipe", "pipe"] });
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  });
  const { stderr } = collect(child);
  for await (const line of createInterface(child.stdout))
    return { process: child, answer: JSON.parse(line), stderr };
  throw new Error(`no answer: ${stderr()}`);
}

async function kill(contender: Contender): Promise<void> {
  contender.process.kill("SIGKILL");
  await once(contender.process, "exit");
}

async function release(contender: Contender): Promise<void> {
  contender.process.stdin.end();
  await once(contender.process, "exit");
}

async function acquire(home: string, command = "mount", waitMs = 0) {
  return acquireHomeLock(home, { command, waitMs, clock });
}

/** On a clock that stands still: nothing that is in the way goes away. */
async function acquireAtOnce(home: string) {
  return acquireHomeLock(home, { command: "monitor", waitMs: 0, clock: createManualClock() });
}

describe("home lock", () => {
  it("has one holder, is visible to readers, and is free after its release", async (t) => {
    const home = await temporaryFolder(t);
    assert.equal(await readLockOwner(home), null);
    const lock = await acquire(home, "mount");
    const holder = await readLockOwner(home);
    assert.deepEqual(holder, lock.holder);
    assert.equal(holder?.pid, process.pid);
    assert.equal(holder?.command, "mount");
    assert.match(holder?.since ?? "", /^\d{4}-\d\d-\d\dT.*Z$/u);
    await assert.rejects(acquire(home), { code: "lock_held" });
    assert.equal(lock.isLocked, true);
    await lock[Symbol.asyncDispose]();
    assert.equal(lock.isLocked, false);
    await lock[Symbol.asyncDispose]();
    assert.equal(await readLockOwner(home), null);
    const again = await acquire(home);
    await again[Symbol.asyncDispose]();
    assert.deepEqual(await readdir(home), ["lock.db"]);
  });

  it("is free in a copy of the home, which does not keep the name of another's holder", async (t) => {
    const folder = await temporaryFolder(t);
    const [home, copy, moved] = [join(folder, "home"), join(folder, "copy"), join(folder, "moved")];
    await mkdir(home);
    await using lock = await acquire(home, "monitor");
    await cp(home, copy, { recursive: true });
    assert.equal(await readLockOwner(copy), null);
    await (await acquire(copy, "monitor"))[Symbol.asyncDispose]();
    await rename(home, moved);
    assert.deepEqual(await readLockOwner(moved), lock.holder);
    await rename(moved, home);
  });

  it("leaves only private files", async (t) => {
    const home = await temporaryFolder(t);
    const umask = process.umask(0);
    t.after(() => process.umask(umask));
    await writeFile(join(home, `.lock.json.4194304-${"0".repeat(12)}.tmp`), "of a process that was killed");
    await using lock = await acquire(home);
    assert.ok(lock.holder);
    assert.deepEqual((await readdir(home)).sort(), ["lock.db", "lock.json"]);
    for (const name of await readdir(home)) {
      assert.equal((await stat(join(home, name))).mode & 0o777, 0o600, name);
    }
  });

  it("a second monitor fails at once and names the running one", async (t) => {
    const home = await temporaryFolder(t);
    const first = await contend(t, home, "monitor", "0");
    assert.ok(first.answer.won);
    // On a clock that stands still nobody waits.
    const still = createManualClock();
    const second = acquireHomeLock(home, { command: "monitor", waitMs: 10_000, clock: still });
    await assert.rejects(second, (error: MountaineerError) => {
      assert.equal(error.code, "already_running");
      assert.match(error.message, new RegExp(`pid ${first.process.pid}, since `, "u"));
      return true;
    });
    await release(first);
  });

  it("a monitor waits for a single-shot command and takes over when that ends", async (t) => {
    const home = await temporaryFolder(t);
    const command = await contend(t, home, "unmount", "0");
    assert.ok(command.answer.won);
    const waiting = acquire(home, "monitor", 60_000);
    await release(command);
    const lock = await waiting;
    assert.equal((await readLockOwner(home))?.command, "monitor");
    await lock[Symbol.asyncDispose]();
  });

  it("gives up after the wait and names the holder", async (t) => {
    const home = await temporaryFolder(t);
    const command = await contend(t, home, "switch", "0");
    const time = createManualClock();
    const startedAtMs = time.monotonicMs();
    const waiting = acquireHomeLock(home, { command: "monitor", waitMs: 300, clock: time });
    await assert.rejects(passTimeUntilSettled(time, waiting), (error: MountaineerError) => {
      assert.equal(error.code, "lock_held");
      assert.match(error.message, new RegExp(`mountaineer switch \\(pid ${command.process.pid}, `, "u"));
      return true;
    });
    assert.equal(time.monotonicMs() - startedAtMs, 300);
  });

  it("stops waiting when the signal aborts", async (t) => {
    const home = await temporaryFolder(t);
    await contend(t, home, "switch", "0");
    const reason = new Error("enough");
    const aborting = new AbortController();
    const time = createManualClock();
    const waiting = acquireHomeLock(home, {
      command: "mount",
      waitMs: 60_000,
      clock: time,
      signal: aborting.signal,
    });
    const refused = assert.rejects(waiting, reason);
    await eventually(() => time.pendingTimers === 1);
    aborting.abort(reason);
    await refused;
    const free = { command: "mount", waitMs: 0, clock, signal: aborting.signal };
    await assert.rejects(acquireHomeLock(await temporaryFolder(t), free), reason);
  });

  it("is waited for by a monitor that follows one", async (t) => {
    const home = await temporaryFolder(t);
    const monitor = await contend(t, home, "monitor", "0");
    const request = { command: "monitor", waitMs: 60_000, followsMonitor: true, clock };
    const [lock] = await Promise.all([acquireHomeLock(home, request), release(monitor)]);
    assert.equal(lock.holder.pid, process.pid);
    await lock[Symbol.asyncDispose]();
  });

  it("is free at once after a kill -9, and its dead holder is not reported", async (t) => {
    const home = await temporaryFolder(t);
    for (let round = 0; round < 2; round++) {
      const holder = await contend(t, home, "monitor", "0");
      assert.ok(holder.answer.won);
      await kill(holder);
      assert.equal(JSON.parse(await readFile(join(home, "lock.json"), "utf8")).pid, holder.process.pid);
      assert.equal(await readLockOwner(home), null);
      // On a clock that stands still nobody waits.
      const still = createManualClock();
      const lock = await acquireHomeLock(home, { command: "monitor", waitMs: 0, clock: still });
      await lock[Symbol.asyncDispose]();
    }
  });

  it("is not passed on to children that outlive the holder", async (t) => {
    const home = await temporaryFolder(t);
    const holder = await contend(t, home, "monitor", "0", "detach");
    assert.ok(holder.answer.won && holder.answer.child !== undefined);
    const child = await processIdentity(holder.answer.child);
    assert.ok(child);
    t.after(() => endProcess(child, { clock, graceMs: 0, deadlineMs: 60_000 }));
    await kill(holder);
    const lock = await acquire(home, "monitor");
    await lock[Symbol.asyncDispose]();
  });

  it("goes to exactly one of eight simultaneous callers", async (t) => {
    const home = await temporaryFolder(t);
    const contenders = await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        contend(t, home, index % 2 === 0 ? "monitor" : "mount", "0", "patient"),
      ),
    );
    const winners = contenders.filter(({ answer }) => answer.won);
    assert.equal(winners.length, 1, JSON.stringify(contenders.map(({ answer }) => answer)));
    const winner = winners[0]?.answer;
    assert.ok(winner?.won);
    const expected = winner.command === "monitor" ? "already_running" : "lock_held";
    for (const { answer } of contenders) {
      if (answer.won) continue;
      assert.equal(answer.code, expected);
      assert.match(answer.message, new RegExp(`pid ${winner.pid}\\b`, "u"));
    }
    assert.equal((await readLockOwner(home))?.pid, winner.pid);
  });

  it("prints nothing about how it is made", async (t) => {
    const home = await temporaryFolder(t);
    const holder = await contend(t, home, "mount", "0");
    await release(holder);
    assert.equal(holder.stderr(), "");
  });

  it("is not taken twice when its file was deleted under the holder", async (t) => {
    const home = await temporaryFolder(t);
    const holder = await contend(t, home, "monitor", "0");
    await rm(join(home, "lock.db"));
    await assert.rejects(acquire(home, "monitor"), { code: "already_running" });
    await release(holder);
    await (await acquireAtOnce(home))[Symbol.asyncDispose]();
  });

  it("is free again when its holder's name cannot be read", async (t) => {
    const home = await temporaryFolder(t);
    await mkdir(join(home, "lock.json"));
    await assert.rejects(acquire(home), { code: "home_unwritable" });
    await rm(join(home, "lock.json"), { recursive: true });
    await (await acquireAtOnce(home))[Symbol.asyncDispose]();
  });

  it("is free again when its holder's name cannot be written", async (t) => {
    const home = await temporaryFolder(t);
    await symlink("missing/lock.json", join(home, "lock.json"));
    await assert.rejects(acquire(home), { code: "home_unwritable" });
    await rm(join(home, "lock.json"));
    await (await acquireAtOnce(home))[Symbol.asyncDispose]();
  });

  it("is taken over from the monitor that is the taker's parent, and from no other", async (t) => {
    const home = await temporaryFolder(t);
    const other = (await contend(t, await temporaryFolder(t), "mount", "0")).process.pid ?? 0;
    const named = async (pid: number, command: string, followsMonitor: boolean): Promise<string> => {
      const holder = { ...(await processIdentity(pid)), command, since: "", home };
      await writeFile(join(home, "lock.json"), JSON.stringify(holder));
      const request = { command: "monitor", waitMs: 0, followsMonitor, clock };
      const taken = acquireHomeLock(home, request).then((lock) => lock[Symbol.asyncDispose]());
      return taken.then(
        () => "taken",
        ({ code }) => code,
      );
    };
    assert.equal(await named(process.ppid, "monitor", true), "taken");
    assert.equal(await named(process.pid, "mount", false), "taken", "its own name, which a release left");
    assert.equal(await named(process.ppid, "monitor", false), "already_running");
    assert.equal(await named(process.ppid, "mount", true), "lock_held");
    assert.equal(await named(other, "monitor", true), "already_running");
  });

  it("is not blocked by a holder's name that makes no sense or matches a later process", async (t) => {
    const home = await temporaryFolder(t);
    const own = {
      pid: process.ppid,
      startTime: "1:1",
      command: "monitor",
      since: "2026-01-01T00:00:00.000Z",
    };
    for (const text of ["", "{", "null", "[]", '{"pid":1}', JSON.stringify(own)]) {
      await writeFile(join(home, "lock.json"), text);
      assert.equal(await readLockOwner(home), null, text);
      const lock = await acquire(home);
      await lock[Symbol.asyncDispose]();
    }
  });

  it("reports that a home cannot have it", async (t) => {
    const home = await temporaryFolder(t);
    await assert.rejects(acquire(join(home, "missing")), { code: "home_unwritable" });
    await mkdir(join(home, "odd", "lock.db"), { recursive: true });
    await assert.rejects(acquire(join(home, "odd")), { code: "home_unwritable" });
    await writeFile(join(home, "lock.db"), "no database at all\n".repeat(100));
    await assert.rejects(acquire(home), { code: "home_unwritable" });
  });

  it("reports a read-only home", async (t) => {
    const disk = await mountTmpfs(t, "ro");
    if (disk === null) return;
    await assert.rejects(acquire(disk), { code: "home_unwritable" });
  });

  it("also works on a full disk, if only without a name", async (t) => {
    const disk = await mountTmpfs(t, "size=64k");
    if (disk === null) return;
    await assert.rejects(writeFile(join(disk, "ballast"), "x".repeat(1024 * 1024)), { code: "ENOSPC" });
    await using lock = await acquire(disk, "monitor");
    assert.equal(lock.holder.command, "monitor");
    assert.equal(await readLockOwner(disk), null);
    const other = await contend(t, disk, "mount", "0");
    assert.ok(!other.answer.won);
    assert.equal(other.answer.code, "lock_held");
    assert.match(other.answer.message, /^another process is changing/u);
  });
});
