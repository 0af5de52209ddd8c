// The watcher's debounce and retries, its settings, its start and end, and its calls of listeners. The changes that it
// sees and offers: config-watcher-stories.test.ts.

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import test from "node:test";
import { whenAborted } from "../../src/runtime/abort.ts";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { withDeadline } from "../../src/sync/watched-file.ts";
import { assertEach } from "../support/assert-each.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { createMemoryFile, systemError } from "./memory-file.ts";
import { DETECTIONS, service } from "./stories.ts";
import { APPLIED, advanceUntil, DEFAULT_SYNC_SETTINGS, sha256, watcherBench } from "./watcher-bench.ts";

for (const detection of DETECTIONS) {
  test(`B1 the window restarts on each further change, for ten times its length at most (${detection})`, async (t) => {
    const { clock, file, offered } = await watcherBench(t, {
      settings: { detection, pollIntervalMs: 100, debounceMs: 1_000 },
    });
    const start = clock.monotonicMs();
    let firstAt = 0;
    for (let save = 1; firstAt === 0 && save < 100; save += 1) {
      file.save(`save ${save}`);
      await clock.advance(500);
      if (offered.length > 0) firstAt = clock.monotonicMs() - start;
    }
    assert.ok(firstAt >= 10_000 && firstAt <= 10_700, `${firstAt} ms`);
    file.save("last");
    await clock.advance(3_000);
    assert.equal(offered.at(-1), "last");
  });
}

test("B1 bytes that appeared and vanished between the detector's check and the reading do not hide the next change", async (t) => {
  const { clock, file, offered, watcher } = await watcherBench(t, {
    settings: { detection: "hash", pollIntervalMs: 500, debounceMs: 100 },
  });
  const read = file.read.bind(file);
  let readsOfB = 0;
  Object.assign(file, {
    read: async (signal: AbortSignal) => {
      const bytes = await read(signal);
      if (new TextDecoder().decode(bytes?.bytes) !== "b") return bytes;
      readsOfB += 1;
      // The poll and the last look before the window's end see this content; the read after them finds another one.
      if (readsOfB === 2) file.save("c");
      return bytes;
    },
  });
  file.save("b");
  await clock.advance(610);
  assert.deepEqual(offered, ["c"]);
  file.save("b");
  await clock.advance(5_000);
  assert.deepEqual(offered, ["c", "b"]);
  assert.equal(watcher.state.hash, sha256("b"));
});

test("B1 mtime: new inodes with the same time, size and bytes make no event, and are read ever more rarely", async (t) => {
  const { clock, file, offered, told, watcher } = await watcherBench(t, {
    settings: { pollIntervalMs: 2_000, debounceMs: 100 },
  });
  const reads = t.mock.method(file, "read");
  file.changeInodes();
  await clock.advance(600_000);
  assert.ok(reads.mock.callCount() < 20, `${reads.mock.callCount()} reads`);
  assert.deepEqual(told(), []);
  file.save("other", { keepMtime: true });
  await clock.advance(61_000);
  assert.deepEqual([offered, watcher.state.hash], [["other"], sha256("other")]);
});

test("B4 backoff: temporary reasons are retried at the poll interval doubled each time, after 60 s at most", async (t) => {
  const times: number[] = [];
  let failing = true;
  const { clock, file, told, watcher, logged } = await watcherBench(t, {
    onChange: async () => {
      times.push(clock.monotonicMs());
      return failing ? { kind: "failed", reason: "busy" } : APPLIED;
    },
  });
  file.save("b");
  await clock.advance(300_000);
  const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0));
  assert.deepEqual(gaps, [2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
  // Announced once, not at each retry.
  assert.deepEqual(told(), ["error busy"]);
  assert.equal(logged.filter((line) => line === "debug config reload failed").length, 1);
  // An edit does not wait for the retry.
  file.save("c");
  failing = false;
  await clock.advance(3_000);
  assert.deepEqual(told(), ["error busy", "changed 1 share reloaded"]);
  assert.equal(watcher.state.lastError, null);
  // The delay is reset after a success.
  failing = true;
  times.length = 0;
  file.save("d");
  await clock.advance(10_000);
  assertEach(times.slice(1), (time, index) => time - (times[index] ?? 0), [2_000, 4_000]);
});

test("B4 fixed: temporary reasons are retried at the poll interval", async (t) => {
  const times: number[] = [];
  const { clock, file } = await watcherBench(t, {
    settings: { onFailure: "fixed" },
    onChange: async () => {
      times.push(clock.monotonicMs());
      throw new Error("thrown on purpose");
    },
  });
  file.save("b");
  await clock.advance(20_000);
  assert.ok(times.length >= 8);
  for (const [index, time] of times.slice(1).entries()) assert.equal(time - (times[index] ?? 0), 2_000);
});

test("B4 an exception of onChange is logged and retried, unless it marks the configuration as invalid", async (t) => {
  const { clock, file, offered, told, watcher } = await watcherBench(t, {
    onChange: async (text) => {
      throw text === "bad" ? new MountaineerError("config_invalid", "line 3") : new TypeError("a mistake");
    },
  });
  file.save("bad");
  await clock.advance(60_000);
  assert.deepEqual(offered, ["bad"]);
  file.save("other");
  await clock.advance(4_000);
  assert.ok(offered.length >= 2);
  assert.deepEqual(told(), ["error line 3", "error a mistake"]);
  assert.equal(watcher.state.lastError?.kind, "failed");
});

test("B1 one onChange at a time, and the last save is the one that runs", async (t) => {
  const gates: (() => void)[] = [];
  const bench = await watcherBench(t, {
    settings: { pollIntervalMs: 100, debounceMs: 100 },
    onChange: () => new Promise((resolve) => gates.push(() => resolve(APPLIED))),
  });
  const { clock, file, offered, watcher } = bench;
  for (let save = 1; save <= 10; save += 1) {
    file.save(`save ${save}`);
    await clock.advance(1_000);
  }
  assert.deepEqual(offered, ["save 1"]);
  gates.shift()?.();
  await clock.advance(0);
  assert.deepEqual(offered, ["save 1", "save 10"]);
  gates.shift()?.();
  await clock.advance(10_000);
  assert.deepEqual(offered, ["save 1", "save 10"]);
  assert.equal(bench.mostAtOnce, 1);
  assert.equal(watcher.state.hash, sha256("save 10"));
});

test("B5 changing the settings reconfigures the running watcher, and loses no edit made during it", async (t) => {
  const { clock, file, offered, watcher } = await watcherBench(t);
  for (const detection of DETECTIONS) {
    file.save(`for ${detection}`);
    watcher.setSettings({
      enabled: true,
      detection,
      pollIntervalMs: 100,
      debounceMs: 200,
      onFailure: "fixed",
    });
    await clock.advance(400);
    assert.equal(offered.at(-1), `for ${detection}`);
    assert.equal(watcher.state.detector.detection, detection);
  }
  assert.equal(offered.length, 3);
});

test("B5 settings that onChange itself changes apply at once", async (t) => {
  const bench = await watcherBench(t, {
    onChange: async () => {
      bench.watcher.setSettings({
        enabled: true,
        detection: "hash",
        pollIntervalMs: 50,
        debounceMs: 100,
        onFailure: "backoff",
      });
      return APPLIED;
    },
  });
  const { clock, file, offered } = bench;
  file.save("b");
  await clock.advance(3_000);
  assert.deepEqual(offered, ["b"]);
  file.save("c");
  await clock.advance(151);
  assert.deepEqual(offered, ["b", "c"]);
});

test("B10 nothing is checked before start, nothing after the end, and no timer is left", async () => {
  for (const detection of DETECTIONS) {
    const bench = await watcherBench(null, {
      settings: { detection, debounceMs: 60_000 },
      start: false,
    });
    const { clock, file, offered, watcher } = bench;
    await clock.advance(10_000);
    assert.equal(file.looks, 0);
    assert.equal(watcher.state.watching, "idle");
    await watcher.start();
    await clock.advance(0);
    assert.equal(watcher.state.watching, "live");
    file.save("b");
    await clock.advance(2_500);
    await watcher[Symbol.asyncDispose]();
    await watcher[Symbol.asyncDispose]();
    assert.equal(watcher.state.watching, "idle");
    assert.equal(clock.pendingTimers, 0);
    assert.equal(file.watches, 0);
    await clock.advance(120_000);
    assert.deepEqual(offered, []);
    assert.deepEqual(await watcher.reloadNow(), {
      kind: "failed",
      reason: "watching ended before the file was read",
    });
  }
});

test("B10 ending aborts the running onChange, waits for it, and answers its callers", async () => {
  let aborted = false;
  const { watcher, file } = await watcherBench(null, {
    onChange: (_text, signal) =>
      new Promise((resolve) => {
        signal.addEventListener("abort", () => {
          aborted = true;
          resolve({ kind: "failed", reason: "ending" });
        });
      }),
  });
  file.save("b");
  const first = watcher.reloadNow();
  await new Promise(setImmediate);
  const second = watcher.reloadNow();
  await watcher[Symbol.asyncDispose]();
  assert.equal(aborted, true);
  assert.equal((await first).kind, "failed");
  assert.equal((await second).kind, "failed");
});

test("B10 ending refuses work that waits behind other work, and work that arrives after the end", async () => {
  const { watcher } = await watcherBench(null);
  const first = watcher.inTurn(({ signal }) => whenAborted(signal));
  const second = assert.rejects(
    watcher.inTurn(async () => assert.fail("begun")),
    { code: "aborted" },
  );
  await new Promise(setImmediate);
  const third = assert.rejects(
    watcher.inTurn(async () => assert.fail("begun")),
    { code: "aborted" },
  );
  await watcher[Symbol.asyncDispose]();
  await Promise.all([first, second, third]);
  await assert.rejects(
    watcher.inTurn(async () => assert.fail("begun")),
    { code: "aborted" },
  );
});

test("B10 ending does not wait for a file that does not answer", async () => {
  const { watcher, file, clock } = await watcherBench(null);
  file.answer(false);
  const asked = watcher.reloadNow();
  await clock.advance(10);
  await watcher[Symbol.asyncDispose]();
  assert.equal((await asked).kind, "failed");
});

test("reloads requested while one runs share the next check", async (t) => {
  const gates: (() => void)[] = [];
  const { file, offered, watcher, clock } = await watcherBench(t, {
    onChange: () => new Promise((resolve) => gates.push(() => resolve(APPLIED))),
  });
  file.save("b");
  const first = watcher.reloadNow();
  await clock.advance(0);
  file.save("c");
  const others = [watcher.reloadNow(), watcher.reloadNow(), watcher.reloadNow()];
  gates.shift()?.();
  assert.equal((await first).kind, "applied");
  await clock.advance(0);
  gates.shift()?.();
  assertEach(await Promise.all(others), ({ kind }) => kind, ["applied", "applied", "applied"]);
  assert.deepEqual(offered, ["b", "c"]);
});

test("an edit that arrives while a content is being applied has its turn after it: file and service agree in the end", async (t) => {
  let runs = "a";
  let gate: (() => void) | null = null;
  const { clock, file, watcher } = await watcherBench(t, {
    onChange: async (text) => {
      if (text === "b") await new Promise<void>((resolve) => (gate = resolve));
      runs = text;
      return APPLIED;
    },
  });
  file.save("b");
  await clock.advance(3_000);
  const edit = watcher.inTurn(async ({ applySaved }) => {
    file.save("c");
    runs = "c";
    await applySaved({
      bytes: new TextEncoder().encode("c"),
      sha256: sha256("c"),
      snapshot: APPLIED,
      source: "edit",
    });
  });
  assert.ok(gate !== null);
  (gate as () => void)();
  await clock.advance(10_000);
  await edit;
  assert.equal(runs, "c");
  assert.equal(watcher.state.hash, sha256("c"));
});

test("unwatchable folders: it polls, reports it, and uses the OS's events again when possible", async (t) => {
  for (const code of ["EMFILE", "ENOSPC"]) {
    const { clock, file, offered, watcher, logged } = await watcherBench(t, {
      settings: { detection: "inotify", pollIntervalMs: 300, debounceMs: 100 },
      start: false,
    });
    file.refuseWatches(systemError(code));
    await watcher.start();
    await clock.advance(0);
    assert.match(watcher.state.detector.degraded ?? "", /limit of file watche/);
    assert.ok(logged.includes("warn config watch only polls"));
    file.save("b");
    await clock.advance(401);
    assert.deepEqual(offered, ["b"]);
    file.refuseWatches(null);
    await clock.advance(301);
    assert.equal(watcher.state.detector.degraded, null);
    assert.equal(file.watches, 1);
    file.refuseWatches(systemError(code));
    watcher.setSettings({ ...DEFAULT_SYNC_SETTINGS, detection: "inotify" });
    await clock.advance(0);
    assert.notEqual(watcher.state.detector.degraded, null);
    watcher.setSettings(DEFAULT_SYNC_SETTINGS);
    assert.equal(watcher.state.detector.degraded, null, "it needs no watches any more");
  }
});

test("listeners that throw do not keep reloads from happening", async (t) => {
  const { clock, file, offered, events, logged } = await watcherBench(t);
  events.push = () => {
    throw new Error("listener");
  };
  file.save("b");
  await clock.advance(4_000);
  file.save("c");
  await clock.advance(4_000);
  assert.deepEqual(offered, ["b", "c"]);
  assert.ok(logged.includes("error config sync listener failed"));
});

test("each state differs from the previous one, and a problem keeps its start time", async (t) => {
  const { clock, file, states, watcher } = await watcherBench(t, { onChange: service });
  assert.ok(watcher.state.lastSync !== null, "the first look finds what runs");
  file.save("later");
  await clock.advance(3_000);
  const since = watcher.state.lastError?.since;
  await clock.advance(100_000);
  assert.equal(watcher.state.lastError?.since, since);
  for (const [index, state] of states.slice(1).entries()) assert.notDeepEqual(state, states[index]);
  assert.deepEqual(states.at(-1), watcher.state, "the last one told is the one that holds");
});

test("other secrets applied while the file is rejected are reported, and the file's problem stays", async (t) => {
  const { clock, file, told, watcher } = await watcherBench(t, { onChange: service });
  file.save("bad");
  await clock.advance(5_000);
  await watcher.inTurn(({ applyAgain }) => applyAgain("secrets"));
  const unchanged = { kind: "applied", changed: false, details: "", diff: null } as const;
  await watcher.inTurn(({ applyAgain }) => applyAgain("secrets", unchanged));
  assert.deepEqual(told(), ["error wrong: bad", "changed 1 share reloaded"]);
  assert.equal(watcher.state.lastError?.kind, "rejected");
  assert.equal(watcher.running.generation, 2);
});

test("work that throws before it waits for anything is rejected, and the next ones have their turn", async (t) => {
  const { clock, watcher } = await watcherBench(t);
  const thrown = watcher.inTurn(() => {
    throw new Error("at once");
  });
  const next = watcher.inTurn(async () => "next");
  const settled = await advanceUntil(clock, Promise.allSettled([thrown, next]));
  assertEach(settled, ({ status }) => status, ["rejected", "fulfilled"]);
});

test("B6 a change whose reading an edit interrupts is read after the edit, without another debounce", async (t) => {
  const { clock, file, watcher, offered } = await watcherBench(t, { settings: { pollIntervalMs: 100 } });
  const read = file.read.bind(file);
  Object.assign(file, { read: (signal: AbortSignal) => clock.sleep(30, signal).then(() => read(signal)) });
  file.save("b");
  await clock.advance(DEFAULT_SYNC_SETTINGS.debounceMs + 110);
  const edit = watcher.inTurn(async () => {});
  await clock.advance(100);
  await edit;
  assert.deepEqual(offered, ["b"]);
});

test("a call that has settled leaves no listener on its signal", async () => {
  const file = withDeadline(createMemoryFile("a"), createManualClock(), 5_000);
  const { signal } = new AbortController();
  await file.stat(signal);
  assert.deepEqual(getEventListeners(signal, "abort"), []);
});

test("B6 a reload is answered, and a save applied, although one edit follows the other without end", async (t) => {
  const { clock, file, watcher, offered } = await watcherBench(t);
  const read = file.read.bind(file);
  // Slower than the edits, each of which breaks off the look that reads.
  Object.assign(file, { read: (signal: AbortSignal) => clock.sleep(30, signal).then(() => read(signal)) });
  let ended = false;
  let edits = 0;
  const editOn = async (): Promise<void> => {
    for (; !ended && edits < 1_000; edits += 1) {
      await clock.sleep(10);
      await watcher.inTurn(async ({ signal }) => clock.sleep(edits % 2, signal));
    }
  };
  file.save("b");
  const editors = [editOn(), editOn(), editOn()];
  const reload = watcher.reloadNow().finally(() => {
    ended = true;
  });
  assert.equal((await advanceUntil(clock, reload)).kind, "applied");
  await advanceUntil(clock, Promise.all(editors));
  assert.deepEqual(offered.at(-1), "b");
  assert.ok(edits < 1_000, "the reload did not wait for the last edit");
});
