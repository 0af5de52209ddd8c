import assert from "node:assert/strict";
import test from "node:test";
import { MountaineerError } from "../../src/runtime/errors.ts";
import type { ReloadOutcome } from "../../src/sync/reload-outcome.ts";
import type { Detection } from "../../src/sync/sync-settings.ts";
import { systemError } from "./memory-file.ts";
import { APPLIED, sha256, watcherBench } from "./watcher-bench.ts";

const DETECTIONS: readonly Detection[] = ["mtime", "hash", "inotify"];

/** Rejects texts that begin with "bad", cannot parse those that begin with "torn", fails on "later". */
async function service(text: string): Promise<ReloadOutcome> {
  if (text.startsWith("bad")) return { kind: "rejected", unparsable: false, reason: `wrong: ${text}` };
  if (text.startsWith("torn")) return { kind: "rejected", unparsable: true, reason: `no TOML: ${text}` };
  if (text.startsWith("later")) return { kind: "failed", reason: "the gateway is busy" };
  if (text.startsWith("same")) return { kind: "applied", changed: false, details: "" };
  return APPLIED;
}

test("B1 a change is seen within the poll interval and applied when the debounce window is over", async (t) => {
  const { clock, file, offered, events, watcher } = await watcherBench(t);
  await clock.advance(500);
  file.save("b");
  await clock.advance(1_499);
  assert.deepEqual(offered, []);
  // The poll at 2 s opened the window.
  await clock.advance(1_000);
  assert.deepEqual(offered, []);
  await clock.advance(1);
  assert.deepEqual(offered, ["b"]);
  assert.equal(events.length, 1);
  assert.equal(events[0]?.type, "changed");
  assert.equal(events[0]?.details, "1 share reloaded");
  assert.equal(events[0]?.generation, 2);
  assert.equal(watcher.state.hash, sha256("b"));
  assert.equal(watcher.state.lastSync, events[0]?.iso);
});

for (const detection of DETECTIONS) {
  test(`B1 twenty saves in 400 ms give one reload (${detection})`, async (t) => {
    const { clock, file, offered, events } = await watcherBench(t, { settings: { detection } });
    await clock.advance(1_900);
    for (let save = 1; save <= 20; save += 1) {
      file.save(`save ${save}`);
      await clock.advance(20);
    }
    await clock.advance(10_000);
    assert.deepEqual(offered, ["save 20"]);
    assert.equal(events.length, 1);
  });

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

  test(`B1 the baseline is what was loaded: an edit between loading and watching is applied (${detection})`, async (t) => {
    const { clock, offered, told } = await watcherBench(t, {
      settings: { detection },
      text: "edited",
      loaded: "a",
    });
    await clock.advance(1_000);
    assert.deepEqual(offered, ["edited"]);
    assert.deepEqual(told(), ["changed 1 share reloaded"]);
    await clock.advance(60_000);
    assert.equal(offered.length, 1);
  });

  test(`B3 a missing file is no change, and it is one when it comes back changed (${detection})`, async (t) => {
    const { clock, file, offered, events, watcher } = await watcherBench(t, { settings: { detection } });
    file.remove();
    await clock.advance(30_000);
    assert.deepEqual(offered, []);
    assert.deepEqual(events, []);
    assert.equal(watcher.state.fileMissing, true);
    assert.equal(watcher.state.lastError, null);
    assert.equal(await file.read(AbortSignal.timeout(1_000)), null);
    file.save("b");
    await clock.advance(4_000);
    assert.deepEqual(offered, ["b"]);
    assert.equal(watcher.state.fileMissing, false);
  });

  test(`B3 a file that was missing from the start is a change when it appears (${detection})`, async (t) => {
    const { clock, file, offered } = await watcherBench(t, { settings: { detection }, text: null });
    await clock.advance(10_000);
    assert.deepEqual(offered, []);
    file.save("a");
    await clock.advance(4_000);
    assert.deepEqual(offered, ["a"]);
  });

  test(`B4 rejected bytes are told once, not offered again, and their mending applies at the normal pace (${detection})`, async (t) => {
    const { clock, file, offered, told, watcher } = await watcherBench(t, {
      settings: { detection },
      onChange: service,
    });
    file.save("bad");
    await clock.advance(200_000);
    assert.deepEqual(offered, ["bad"]);
    assert.deepEqual(told(), ["error wrong: bad"]);
    assert.equal(watcher.state.lastError?.kind, "rejected");
    assert.equal(watcher.state.hash, sha256("a"));
    file.save("good");
    await clock.advance(3_000);
    assert.deepEqual(offered, ["bad", "good"]);
    assert.deepEqual(told(), ["error wrong: bad", "changed 1 share reloaded"]);
    assert.equal(watcher.state.lastError, null);
  });

  test(`B4 the running bytes again clear the error and are one no-change event (${detection})`, async (t) => {
    const { clock, file, offered, told, watcher } = await watcherBench(t, {
      settings: { detection },
      onChange: service,
    });
    file.save("bad");
    await clock.advance(5_000);
    assert.equal(watcher.state.lastError?.kind, "rejected");
    file.save("a");
    await clock.advance(200_000);
    assert.deepEqual(offered, ["bad"]);
    assert.deepEqual(told(), ["error wrong: bad", "no-change no changes"]);
    assert.equal(watcher.state.lastError, null);
  });

  test(`B4 a passing failure that is taken back is one no-change event, too (${detection})`, async (t) => {
    const { clock, file, told, watcher } = await watcherBench(t, {
      settings: { detection, onFailure: "fixed" },
      onChange: service,
    });
    file.save("later");
    await clock.advance(9_500);
    file.save("a");
    await clock.advance(200_000);
    assert.deepEqual(told(), ["error the gateway is busy", "no-change no changes"]);
    assert.equal(watcher.state.lastError, null);
  });

  test(`B4 stop: watching ends after the first failed reload and says so; a reload by hand starts it again (${detection})`, async (t) => {
    const { clock, file, offered, told, watcher, logged } = await watcherBench(t, {
      settings: { detection, onFailure: "stop" },
      onChange: service,
    });
    file.save("bad");
    await clock.advance(5_000);
    assert.equal(watcher.state.watching, "stopped");
    assert.deepEqual(told(), ["error wrong: bad; watching stopped until a reload by hand succeeds"]);
    assert.ok(logged.includes("debug config reload failed, watching stopped"));
    const { looks } = file;
    file.save("good");
    await clock.advance(60_000);
    assert.deepEqual(offered, ["bad"]);
    assert.equal(file.looks, looks);
    assert.equal(file.watches, 0);
    const result = await advanceUntil(clock, watcher.reloadNow());
    assert.equal(result.kind, "applied");
    assert.equal(watcher.state.watching, "live");
    assert.equal(watcher.state.lastError, null);
    file.save("good again");
    await clock.advance(5_000);
    assert.deepEqual(offered, ["bad", "good", "good again"]);
  });

  test(`B2 a touch without a change: ${detection === "mtime" ? "one no-change event" : "nothing"} (${detection})`, async (t) => {
    const { clock, file, offered, told } = await watcherBench(t, { settings: { detection } });
    file.touch();
    await clock.advance(30_000);
    assert.deepEqual(offered, []);
    assert.deepEqual(told(), detection === "mtime" ? ["no-change no changes"] : []);
  });

  test(`B2 same size and mtime kept: ${detection === "mtime" ? "cannot be seen" : "applied"} (${detection})`, async (t) => {
    const { clock, file, offered } = await watcherBench(t, { settings: { detection } });
    file.save("b", { keepMtime: true });
    await clock.advance(30_000);
    assert.deepEqual(offered, detection === "mtime" ? [] : ["b"]);
  });

  test(`B10 bytes that the service itself wrote and runs are met in silence (${detection})`, async (t) => {
    const { clock, file, offered, told, watcher } = await watcherBench(t, { settings: { detection } });
    file.save("edited by the panel");
    watcher.noteLoaded(sha256("edited by the panel"));
    await clock.advance(30_000);
    assert.deepEqual(offered, []);
    assert.deepEqual(told(), []);
    assert.equal(watcher.state.hash, sha256("edited by the panel"));
    file.save("b");
    await clock.advance(4_000);
    assert.deepEqual(offered, ["b"]);
  });

  test(`B5 sub-second settings work (${detection})`, async (t) => {
    const { clock, file, offered } = await watcherBench(t, {
      settings: { detection, pollIntervalMs: 50, debounceMs: 100 },
    });
    for (let edit = 0; edit < 10; edit += 1) {
      file.save(`edit ${edit}`);
      await clock.advance(151);
      assert.equal(offered.length, edit + 1, `edit ${edit}`);
    }
  });
}

for (const detection of DETECTIONS) {
  test(`B10 an edit through the service that is taken back in the file before it was met there is applied (${detection})`, async (t) => {
    const { clock, file, offered, watcher } = await watcherBench(t, { settings: { detection } });
    file.save("b");
    watcher.noteLoaded(sha256("b"));
    file.save("a");
    await clock.advance(10_000);
    assert.deepEqual(offered, ["a"]);
    assert.equal(watcher.state.hash, sha256("a"));
  });

  test(`B1 what was read and then is as it was before the read is a change (${detection})`, async (t) => {
    const { clock, file, offered, told, watcher } = await watcherBench(t, { settings: { detection } });
    file.save("b");
    await watcher.reloadNow();
    file.save("a");
    await clock.advance(10_000);
    assert.deepEqual(offered, ["b", "a"]);
    assert.deepEqual(told(), ["changed 1 share reloaded", "changed 1 share reloaded"]);
  });
}

test("B1 bytes that came and went between the detector's look and the reading do not hide the next change", async (t) => {
  const { clock, file, offered, watcher } = await watcherBench(t, {
    settings: { detection: "hash", pollIntervalMs: 500, debounceMs: 100 },
  });
  const read = file.read.bind(file);
  let readsOfB = 0;
  Object.assign(file, {
    read: async (signal: AbortSignal) => {
      const bytes = await read(signal);
      if (new TextDecoder().decode(bytes ?? undefined) !== "b") return bytes;
      readsOfB += 1;
      // The poll saw it, the last look before the window's end saw it; the reading after that meets another.
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

test("B4 rejected bytes that are touched, or saved again, are not offered again", async (t) => {
  const { clock, file, offered, told } = await watcherBench(t, { onChange: service });
  file.save("bad");
  await clock.advance(5_000);
  file.touch();
  await clock.advance(5_000);
  file.save("bad");
  await clock.advance(5_000);
  assert.deepEqual(offered, ["bad"]);
  assert.deepEqual(told(), ["error wrong: bad"]);
});

test("B1 a save during the second look is one event, not two", async (t) => {
  const { clock, file, told } = await watcherBench(t, {
    settings: { detection: "inotify", debounceMs: 50 },
    onChange: service,
  });
  file.save("torn");
  await clock.advance(100);
  // Its window is over before the second look.
  file.save("whole");
  await clock.advance(5_000);
  assert.deepEqual(told(), ["changed 1 share reloaded"]);
});

test("B1 a save that nobody noticed before another look met it is debounced all the same", async (t) => {
  const { clock, file, offered, watcher } = await watcherBench(t, {
    settings: { detection: "mtime" },
    onChange: service,
  });
  file.save("later");
  await clock.advance(4_500);
  assert.deepEqual(offered, ["later", "later"].slice(0, offered.length));
  const { length } = offered;
  // The retry comes upon it first.
  file.save("half of it");
  await clock.advance(400);
  file.save("all of it");
  await clock.advance(10_000);
  assert.deepEqual(offered.slice(length), ["all of it"]);
  assert.equal(watcher.state.hash, sha256("all of it"));
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

test("B4 backoff: passing reasons are retried at the poll interval doubled each time, after 60 s at most", async (t) => {
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
  // Told once, not once a retry.
  assert.deepEqual(told(), ["error busy"]);
  assert.equal(logged.filter((line) => line === "debug config reload failed").length, 1);
  // An edit does not wait for the retry.
  file.save("c");
  failing = false;
  await clock.advance(3_000);
  assert.deepEqual(told(), ["error busy", "changed 1 share reloaded"]);
  assert.equal(watcher.state.lastError, null);
  // Reset on success.
  failing = true;
  times.length = 0;
  file.save("d");
  await clock.advance(10_000);
  assert.deepEqual(
    times.slice(1).map((time, index) => time - (times[index] ?? 0)),
    [2_000, 4_000],
  );
});

test("B4 fixed: passing reasons are retried at the poll interval", async (t) => {
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

test("B4 what onChange throws is logged and retried, unless it says that the configuration is wrong", async (t) => {
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

test("B4 a file that cannot be read is an error, told once, and cleared when it can be read again", async (t) => {
  for (const detection of DETECTIONS) {
    const { clock, file, told, watcher, offered } = await watcherBench(t, { settings: { detection } });
    file.save("b");
    file.fail(systemError("EACCES"));
    await clock.advance(30_000);
    assert.deepEqual(told(), ["error EACCES: on purpose"], detection);
    assert.equal(watcher.state.lastError?.kind, "unreadable");
    file.fail(null);
    await clock.advance(70_000);
    assert.deepEqual(told(), ["error EACCES: on purpose", "changed 1 share reloaded"], detection);
    assert.deepEqual(offered, ["b"]);
    file.fail(systemError("EIO"));
    await clock.advance(10_000);
    file.fail(null);
    await clock.advance(70_000);
    assert.deepEqual(told().slice(2), ["error EIO: on purpose", "no-change no changes"], detection);
    assert.equal(watcher.state.lastError, null);
  }
});

test("B4 a file that could not be read and then is gone is no error any more", async (t) => {
  const { clock, file, watcher } = await watcherBench(t, { settings: { detection: "hash" } });
  file.fail(systemError("EACCES"));
  await clock.advance(10_000);
  assert.equal(watcher.state.lastError?.kind, "unreadable");
  file.fail(null);
  file.remove();
  await clock.advance(70_000);
  assert.equal(watcher.state.lastError, null);
});

test("B4 a passing failure outlives the file's absence and is retried when it is back as it was", async (t) => {
  let failing = true;
  const { clock, file, offered, watcher } = await watcherBench(t, {
    onChange: async () => (failing ? { kind: "failed", reason: "busy" } : APPLIED),
  });
  file.save("b");
  await clock.advance(4_000);
  assert.equal(offered.length, 1);
  file.remove();
  await clock.advance(300_000);
  assert.equal(offered.length, 1);
  assert.equal(watcher.state.lastError?.kind, "failed");
  failing = false;
  file.save("b", { keepMtime: true });
  await clock.advance(61_000);
  assert.equal(offered.length, 2);
  assert.equal(watcher.state.hash, sha256("b"));
});

test("a file that gives no answer is an error event after the deadline, and looks do not pile up", async (t) => {
  const { clock, file, told, watcher } = await watcherBench(t);
  file.answer(false);
  const { looks } = file;
  await clock.advance(120_000);
  assert.deepEqual(told(), ["error /home/user/.mountaineer/config.toml gave no answer within 5 s"]);
  assert.equal(watcher.state.lastError?.kind, "unreadable");
  assert.equal(file.looks - looks, 1);
  file.save("b");
  file.answer(true);
  await clock.advance(70_000);
  assert.equal(watcher.state.lastError, null);
  assert.equal(watcher.state.hash, sha256("b"));
});

test("an empty file right after a change is looked at again before it is offered", async (t) => {
  const { clock, file, offered } = await watcherBench(t, {
    settings: { pollIntervalMs: 100, debounceMs: 100 },
  });
  file.save("");
  await clock.advance(300);
  assert.deepEqual(offered, []);
  file.save("b");
  await clock.advance(1_000);
  assert.deepEqual(offered, ["b"]);
  file.save("");
  await clock.advance(1_000);
  assert.deepEqual(offered, ["b", ""]);
});

test("an unparsable content right after a change is looked at again before it counts as an error", async (t) => {
  const { clock, file, offered, told } = await watcherBench(t, {
    settings: { pollIntervalMs: 100, debounceMs: 100 },
    onChange: service,
  });
  file.save("torn");
  await clock.advance(300);
  assert.deepEqual(offered, ["torn"]);
  assert.deepEqual(told(), []);
  file.save("whole");
  await clock.advance(1_000);
  assert.deepEqual(told(), ["changed 1 share reloaded"]);
  file.save("torn for good");
  await clock.advance(1_000);
  assert.deepEqual(offered, ["torn", "whole", "torn for good"]);
  assert.deepEqual(told(), ["changed 1 share reloaded", "error no TOML: torn for good"]);
});

test("B4 stop does not stop at a content that was only half written", async (t) => {
  const { clock, file, watcher } = await watcherBench(t, {
    settings: { pollIntervalMs: 100, debounceMs: 100, onFailure: "stop" },
    onChange: service,
  });
  file.save("torn");
  await clock.advance(300);
  file.save("whole");
  await clock.advance(2_000);
  assert.equal(watcher.state.watching, "live");
  assert.equal(watcher.state.hash, sha256("whole"));
});

test("B8 other bytes with the same meaning are no-change, and their hash becomes the running one", async (t) => {
  const { clock, file, told, watcher } = await watcherBench(t, { onChange: service });
  file.save("same, but reordered");
  await clock.advance(4_000);
  assert.deepEqual(told(), ["no-change no changes"]);
  assert.equal(watcher.state.hash, sha256("same, but reordered"));
});

test("B5 changing the settings reconfigures the running watcher, and loses no edit made meanwhile", async (t) => {
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

test("B5 settings that onChange itself brings take hold at once", async (t) => {
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

test("B10 enabled = false means no watching; a reload by hand applies all the same", async (t) => {
  const { clock, file, offered, watcher } = await watcherBench(t, { settings: { enabled: false } });
  assert.equal(watcher.state.watching, "off");
  file.save("b");
  await clock.advance(60_000);
  assert.equal(file.looks, 0);
  assert.equal(clock.pendingTimers, 0);
  const result = await watcher.reloadNow();
  assert.equal(result.kind, "applied");
  assert.deepEqual(offered, ["b"]);
  assert.equal(watcher.state.watching, "off");
});

test("B10 switching watching off drops a window that is open, and on again finds the edit", async (t) => {
  const { clock, file, offered, watcher } = await watcherBench(t);
  const settings = { enabled: true, detection: "mtime", pollIntervalMs: 2_000, debounceMs: 1_000 } as const;
  file.save("b");
  await clock.advance(2_500);
  watcher.setSettings({ ...settings, enabled: false, onFailure: "backoff" });
  await clock.advance(60_000);
  assert.deepEqual(offered, []);
  watcher.setSettings({ ...settings, onFailure: "backoff" });
  await clock.advance(1_001);
  assert.deepEqual(offered, ["b"]);
});

test("B10 nothing is looked at before start, nothing after the end, and no timer is left", async () => {
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

test("B10 ending aborts the running onChange, waits for it, and answers those who asked", async () => {
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

test("B10 ending does not wait for a file that gives no answer", async () => {
  const { watcher, file, clock } = await watcherBench(null);
  file.answer(false);
  const asked = watcher.reloadNow();
  await clock.advance(10);
  await watcher[Symbol.asyncDispose]();
  assert.equal((await asked).kind, "failed");
});

test("a reload by hand needs no window, offers rejected bytes again, and leaves no second reload behind", async (t) => {
  const { clock, file, offered, told, watcher } = await watcherBench(t, { onChange: service });
  file.save("bad");
  assert.deepEqual(await watcher.reloadNow(), {
    kind: "rejected",
    unparsable: false,
    reason: "wrong: bad",
  });
  assert.equal((await watcher.reloadNow()).kind, "rejected");
  assert.deepEqual(offered, ["bad", "bad"]);
  file.save("good");
  assert.equal((await watcher.reloadNow()).kind, "applied");
  assert.deepEqual(await watcher.reloadNow(), { kind: "same" });
  file.remove();
  assert.deepEqual(await watcher.reloadNow(), { kind: "missing" });
  await clock.advance(60_000);
  assert.deepEqual(offered, ["bad", "bad", "good"]);
  assert.deepEqual(told(), [
    "error wrong: bad",
    "error wrong: bad",
    "changed 1 share reloaded",
    "no-change no changes",
  ]);
});

test("reloads asked for while one runs share the next look", async (t) => {
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
  assert.deepEqual(
    (await Promise.all(others)).map(({ kind }) => kind),
    ["applied", "applied", "applied"],
  );
  assert.deepEqual(offered, ["b", "c"]);
});

test("B4 under stop, a failed reload by hand stays stopped; the running bytes again start it", async (t) => {
  const { clock, file, watcher, told } = await watcherBench(t, {
    settings: { onFailure: "stop" },
    onChange: service,
  });
  file.save("bad");
  await clock.advance(4_000);
  file.save("bad, too");
  assert.equal((await watcher.reloadNow()).kind, "rejected");
  assert.equal(watcher.state.watching, "stopped");
  file.save("a");
  assert.deepEqual(await watcher.reloadNow(), { kind: "same" });
  assert.equal(watcher.state.watching, "live");
  assert.equal(watcher.state.lastError, null);
  assert.equal(told().at(-1), "no-change no changes");
});

test("B4 under stop, saving through the service, restart, and another failure mode start it again", async (t) => {
  const { clock, file, watcher, told, offered } = await watcherBench(t, {
    settings: { onFailure: "stop" },
    onChange: service,
  });
  const stop = async (): Promise<void> => {
    file.save(`bad ${offered.length}`);
    await clock.advance(4_000);
    assert.equal(watcher.state.watching, "stopped");
  };
  await stop();
  file.save("mended");
  watcher.noteApplied(sha256("mended"), { changed: true, details: "2 shares reloaded" });
  assert.equal(watcher.state.watching, "live");
  assert.equal(told().at(-1), "changed 2 shares reloaded");
  await clock.advance(30_000);
  assert.equal(told().at(-1), "changed 2 shares reloaded");
  await stop();
  watcher.restart();
  assert.equal(watcher.state.watching, "live");
  file.save("mended again");
  await clock.advance(4_000);
  assert.equal(offered.at(-1), "mended again");
  await stop();
  watcher.setSettings({
    enabled: true,
    detection: "mtime",
    pollIntervalMs: 2_000,
    debounceMs: 1_000,
    onFailure: "backoff",
  });
  assert.equal(watcher.state.watching, "live");
});

test("what the service runs of its own while a content is being offered: file and service agree in the end", async (t) => {
  // The service serialises: of an offered content and its own edit the later one runs.
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
  file.save("c");
  watcher.noteLoaded(sha256("c"));
  assert.ok(gate !== null);
  (gate as () => void)();
  await clock.advance(10_000);
  assert.equal(runs, "c");
  assert.equal(watcher.state.hash, sha256("c"));
});

test("folders that cannot be watched: it polls, says so, and hears from the OS again when it can", async (t) => {
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

test("each state differs from the one before, and a problem keeps its beginning", async (t) => {
  const { clock, file, states, watcher } = await watcherBench(t, { onChange: service });
  file.save("later");
  await clock.advance(3_000);
  const since = watcher.state.lastError?.since;
  await clock.advance(100_000);
  assert.equal(watcher.state.lastError?.since, since);
  for (const [index, state] of states.slice(1).entries()) assert.notDeepEqual(state, states[index]);
});

async function advanceUntil<T>(
  clock: { advance(ms: number): Promise<void> },
  promise: Promise<T>,
): Promise<T> {
  let done = false;
  void promise.finally(() => (done = true));
  for (let step = 0; !done && step < 1_000; step += 1) await clock.advance(10);
  return promise;
}
