// Which changes the watcher sees, and when it offers them.
import assert from "node:assert/strict";
import test from "node:test";
import { DETECTIONS, service } from "./scripted-service.ts";
import { advanceUntil, saveThroughService, sha256, watcherBench } from "./watcher-bench.ts";

test("B1 a change is seen within the poll interval and applied when the debounce window is over", async (t) => {
  const { clock, file, offered, events, watcher } = await watcherBench(t);
  // Polls fall on multiples of their interval, and the clock begins at 1 s.
  await clock.advance(1_500);
  file.save("b");
  await clock.advance(1_499);
  assert.deepEqual(offered, []);
  // The poll at 4 s opened the window.
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
    await saveThroughService({ file, watcher }, "edited by the panel");
    assert.deepEqual(told(), ["changed 1 share reloaded"]);
    await clock.advance(30_000);
    assert.deepEqual(offered, []);
    assert.deepEqual(told(), ["changed 1 share reloaded"]);
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
    await saveThroughService({ file, watcher }, "b");
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
