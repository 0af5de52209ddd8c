import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir, rename, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { readConfigBytes } from "../../src/config/read/config-bytes.ts";
import { QUIET_MS, SAFETY_POLL_MS, startDetector } from "../../src/sync/detector.ts";
import {
  createFolderBell,
  type FolderEvents,
  type FolderListener,
  systemFolderEvents,
} from "../../src/sync/folder-events.ts";
import type { WatchedFile } from "../../src/sync/watched-file.ts";
import { collect } from "../support/collect.ts";
import { eventually } from "../support/eventually.ts";
import { createLocalFile } from "../support/local-file.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { passTimeUntil } from "../support/pass-time.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { createMemoryFile } from "./memory-file.ts";

function startOn(t: TestContext, file: WatchedFile, events: FolderEvents, startWallMs?: number) {
  const clock = createManualClock(startWallMs);
  const seen = {
    changes: 0,
    signs: 0,
    atMs: undefined as number | undefined,
    degraded: null as string | null,
    isThere: null as boolean | null,
  };
  const detector = startDetector("inotify", {
    file,
    clock,
    pollIntervalMs: 300,
    folderEvents: events,
    onChange: (atMs) => {
      seen.changes += 1;
      seen.atMs = atMs;
    },
    onSign: () => (seen.signs += 1),
    onPresence: (isThere) => (seen.isThere = isThere),
    onDegraded: (reason) => (seen.degraded = reason),
  });
  t.after(() => detector[Symbol.dispose]());
  return { clock, seen, detector };
}

test("B2 a change that no watched folder reports is found by the slow poll: a folder further up replaced", async (t) => {
  const root = await temporaryFolder(t);
  const at = (top: string): string => join(root, top, "etc", "app");
  await mkdir(at("top"), { recursive: true });
  await writeFile(join(at("top"), "config.toml"), "a");
  const file = createLocalFile(join(at("top"), "config.toml"), readConfigBytes);
  const { clock, seen, detector } = startOn(t, file, systemFolderEvents);
  await detector.check();
  await mkdir(at("next"), { recursive: true });
  await writeFile(join(at("next"), "config.toml"), "b");
  await rename(join(root, "top"), join(root, "before"));
  await rename(join(root, "next"), join(root, "top"));
  await passTimeUntil(clock, () => seen.changes === 1, SAFETY_POLL_MS);
  // The watches follow the new path: the next change has an event.
  await detector.check();
  const timers = clock.pendingTimers;
  await writeFile(join(at("top"), "config.toml"), "c");
  await eventually(() => clock.pendingTimers > timers);
  await clock.advance(QUIET_MS);
  await detector.check();
  assert.equal(seen.changes, 2);
});

test("B2 the signal comes for the file's name, the folder's own and an unknown one, while its watch is armed", async () => {
  const listeners: FolderListener[] = [];
  const watches = new Set<FolderListener>();
  let rings = 0;
  const events: FolderEvents = {
    watch(_folder, listener) {
      listeners.push(listener);
      watches.add(listener);
      return { [Symbol.dispose]: () => void watches.delete(listener) };
    },
  };
  const bell = createFolderBell(createMemoryFile("a"), events, () => {
    rings += 1;
  });
  await bell.arm();
  for (const name of ["config.toml", "other.toml", null, ".mountaineer"]) listeners[0]?.onName(name);
  assert.deepEqual([rings, watches.size], [3, 1]);
  await bell.arm();
  listeners[0]?.onName("config.toml");
  listeners[0]?.onEnd();
  assert.deepEqual([rings, watches.size], [3, 1], "the watch before is ended");
  listeners[1]?.onEnd();
  bell[Symbol.dispose]();
  listeners[1]?.onName("config.toml");
  assert.deepEqual([rings, watches.size], [4, 0]);
});

test("B2 folders are watched again after a check that failed, and not after the end", async (t) => {
  const file = createMemoryFile("a");
  let armed = 0;
  const events: FolderEvents = {
    watch(folder, listener) {
      armed += 1;
      return file.events.watch(folder, listener);
    },
  };
  const { detector } = startOn(t, file, events);
  await detector.check();
  file.fail(new Error("EACCES"));
  await detector.check();
  file.fail(null);
  const before = armed;
  await detector.check();
  assert.equal(armed, before + 1);
  const ended = startOn(t, file, file.events);
  const looking = ended.detector.check();
  ended.detector[Symbol.dispose]();
  await looking;
  assert.equal(file.watches, 1, "the other detector's");
});

test("B2 a check requested during another sees every change until then, and after the end nothing is reported", async (t) => {
  const file = createMemoryFile("a");
  const { clock, seen, detector } = startOn(t, file, file.events);
  await detector.check();
  const stat = file.stat.bind(file);
  let paused: PromiseWithResolvers<void> | null = null;
  // Answers late what was so when it was asked.
  Object.assign(file, {
    stat: async (signal: AbortSignal) => {
      const found = await stat(signal);
      await paused?.promise;
      return found;
    },
  });
  const during = async (act: () => void): Promise<void> => {
    const now = Promise.withResolvers<void>();
    paused = now;
    const { looks } = file;
    const first = detector.check();
    await eventually(() => file.looks > looks);
    await new Promise(setImmediate);
    act();
    paused = null;
    now.resolve();
    await first;
  };
  let second: Promise<void> | null = null;
  await during(() => {
    file.save("b");
    second = detector.check();
  });
  await second;
  assert.equal(seen.changes, 1);
  file.save("c");
  let looks = 0;
  await during(() => {
    void detector.check();
    detector[Symbol.dispose]();
    looks = file.looks;
    assert.equal(clock.pendingTimers, 0);
  });
  await clock.advance(10 * SAFETY_POLL_MS);
  assert.deepEqual([seen.changes, file.watches], [1, 0]);
  assert.ok(file.looks <= looks + 1, "the look that was begun ends, and no other begins");
});

test("B2 a burst of events is one check, a moment later", async (t) => {
  const file = createMemoryFile("a");
  const { clock, seen, detector } = startOn(t, file, file.events);
  await detector.check();
  const { looks } = file;
  for (let save = 0; save < 100; save += 1) file.save(`save ${save}`);
  assert.equal(file.looks, looks);
  assert.deepEqual([seen.signs, seen.changes], [1, 0]);
  await clock.advance(QUIET_MS);
  assert.equal(seen.changes, 1);
  assert.ok(file.looks - looks <= 3, `${file.looks - looks} looks`);
});

test("B2 a change is dated by the system's last event; one without an event is dated now", async (t) => {
  const file = createMemoryFile("a");
  let tells = true;
  const events: FolderEvents = {
    watch: (folder, { onName, onEnd }) =>
      file.events.watch(folder, { onName: (name) => tells && onName(name), onEnd }),
  };
  const { clock, seen, detector } = startOn(t, file, events);
  await detector.check();
  file.save("told");
  await clock.advance(4);
  file.save("told again");
  const toldMs = clock.monotonicMs();
  await clock.advance(QUIET_MS);
  assert.deepEqual([seen.changes, seen.atMs], [1, toldMs]);
  tells = false;
  file.save("untold");
  await clock.advance(SAFETY_POLL_MS);
  assert.deepEqual([seen.changes, seen.atMs], [2, undefined]);
});

test("B2 an idle check is one stat: nothing is read while the stat stays the same", async (t) => {
  const file = createMemoryFile("a");
  let reads = 0;
  const counted: WatchedFile = {
    ...file,
    read(signal) {
      reads += 1;
      return file.read(signal);
    },
  };
  const { clock, detector } = startOn(t, counted, file.events);
  await detector.check();
  const before = reads;
  await clock.advance(60_000);
  assert.equal(reads, before);
  await detector.check();
});

test("B2 a file that is gone between its stat and its reading is missing", async (t) => {
  const file = createMemoryFile("a");
  const { detector, seen } = startOn(t, { ...file, read: async () => null }, file.events);
  await detector.check();
  assert.equal(seen.isThere, false);
});

test("B2 a file changed again within one tick of coarse file times is read again all the same", async (t) => {
  const file = createMemoryFile("a");
  // The memory file's times lie at the epoch's beginning: just now, by this wall clock.
  const { clock, seen, detector } = startOn(t, file, { watch: () => ({ [Symbol.dispose]() {} }) }, 0);
  await detector.check();
  const stat = await file.stat(AbortSignal.timeout(1_000));
  file.save("b");
  const frozen: WatchedFile = { ...file, stat: async () => stat };
  const other = startOn(t, frozen, file.events, 0);
  await other.detector.check();
  file.save("c");
  await other.clock.advance(QUIET_MS);
  assert.equal(other.seen.changes, 1);
  await clock.advance(SAFETY_POLL_MS);
  assert.equal(seen.changes, 1);
});

test("a path that leads onto a network file system is not touched there: the rest is watched, and it polls", async (t) => {
  const root = await temporaryFolder(t);
  await mkdir(join(root, "etc"));
  await mkdir(join(root, "share"));
  await writeFile(join(root, "share", "config.toml"), "a");
  await symlink(join(root, "share", "config.toml"), join(root, "etc", "config.toml"));
  const armed: string[] = [];
  const events: FolderEvents = {
    watch(folder, listener) {
      armed.push(folder);
      return systemFolderEvents.watch(folder, listener);
    },
  };
  const local = createLocalFile(join(root, "etc", "config.toml"), readConfigBytes);
  const file: WatchedFile = { ...local, isHere: (path) => !path.startsWith(join(root, "share")) };
  const { clock, seen, detector } = startOn(t, file, events);
  await detector.check();
  assert.match(seen.degraded ?? "", /share lies on a network file system$/);
  assert.ok(armed.includes(join(root, "etc")));
  assert.ok(!armed.includes(join(root, "share")));
  await writeFile(join(root, "share", "config.toml"), "b");
  await passTimeUntil(clock, () => seen.changes === 1, 300);
});

test("a symlink that leads to itself does not end the watch", async (t) => {
  const root = await temporaryFolder(t);
  const path = join(root, "config.toml");
  await symlink(path, path);
  const { clock, seen, detector } = startOn(t, createLocalFile(path, readConfigBytes), systemFolderEvents);
  await detector.check();
  const timers = clock.pendingTimers;
  await writeFile(join(root, "new"), "a");
  await rename(join(root, "new"), path);
  await eventually(() => clock.pendingTimers > timers);
  await clock.advance(QUIET_MS);
  await detector.check();
  assert.ok(seen.changes >= 1);
});

/** Runs a program under other inotify limits, in a user namespace of its own. */
async function underLimits(limits: Readonly<Record<string, number>>, program: string): Promise<string> {
  const set = Object.entries(limits).map(([name, value]) => `echo ${value} > /proc/sys/user/${name}`);
  const script = `${set.join(" && ")} && exec "$0" --input-type=module -e "$1"`;
  const child = spawn("unshare", ["-Ur", "sh", "-c", script, process.execPath, program], {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 60_000,
    killSignal: "SIGKILL",
  });
  const { stdout, stderr } = await collect(child).ended;
  return stdout + stderr;
}

for (const [limit, value] of [
  ["max_inotify_watches", 0],
  ["max_inotify_instances", 0],
] as const) {
  test(`a real limit of the kernel (${limit}) makes it poll and report it`, async (t) => {
    if (process.platform !== "linux") return t.skip("inotify is Linux's");
    const root = await temporaryFolder(t);
    await mkdir(join(root, "app"));
    await writeFile(join(root, "app", "config.toml"), "a");
    const source = join(import.meta.dirname, "..", "..", "src");
    const program = `
      import { writeFileSync, readFileSync } from "node:fs";
      import { readFile } from "node:fs/promises";
      import { startDetector } from ${JSON.stringify(join(source, "sync", "detector.ts"))};
      import { systemFolderEvents } from ${JSON.stringify(join(source, "sync", "folder-events.ts"))};
      import { createLocalFile } from ${JSON.stringify(join(import.meta.dirname, "../support/local-file.ts"))};
      import { systemClock } from ${JSON.stringify(join(source, "runtime", "time", "clock.ts"))};
      const path = ${JSON.stringify(join(root, "app", "config.toml"))};
      const detector = startDetector("inotify", {
        file: createLocalFile(path, (path) => readFile(path)), clock: systemClock, pollIntervalMs: 50,
        onChange() { console.log("changed"); detector[Symbol.dispose](); },
        onPresence() {},
        onDegraded(reason) { if (reason !== null) console.log(reason); },
        folderEvents: systemFolderEvents,
      });
      await detector.check();
      writeFileSync(path, "b");
    `;
    const output = await underLimits({ [limit]: value }, program);
    if (/unshare: |Permission denied|No such file/.test(output))
      return t.skip(`no user namespace: ${output.trim()}`);
    assert.match(output, /the system's limit of file watche(s|rs) is reached/);
    assert.match(output, /changed\n$/);
  });
}
