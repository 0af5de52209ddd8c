// Contents that are rejected, fail or cannot be read: what is told, and what is tried again.
import assert from "node:assert/strict";
import test from "node:test";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { systemError } from "./memory-file.ts";
import { DETECTIONS, service } from "./scripted-service.ts";
import { APPLIED, advanceUntil, saveThroughService, sha256, watcherBench } from "./watcher-bench.ts";

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
  await clock.advance(3_000);
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

test("B4 under stop, a failed reload by hand stays stopped; the running bytes again start it", async (t) => {
  const { clock, file, watcher, told } = await watcherBench(t, {
    settings: { onFailure: "stop" },
    onChange: service,
  });
  file.save("bad");
  await clock.advance(4_000);
  file.save("bad, too");
  assert.equal((await advanceUntil(clock, watcher.reloadNow())).kind, "rejected");
  assert.equal(watcher.state.watching, "stopped");
  file.save("a");
  assert.deepEqual(await watcher.reloadNow(), { kind: "same" });
  assert.equal(watcher.state.watching, "live");
  assert.equal(watcher.state.lastError, null);
  assert.equal(told().at(-1), "no-change no changes");
});

test("B4 under stop, saving through the service and another failure mode start it again", async (t) => {
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
  await saveThroughService({ file, watcher }, "mended");
  assert.equal(watcher.state.watching, "live");
  assert.equal(told().at(-1), "changed 1 share reloaded");
  await clock.advance(30_000);
  assert.equal(told().at(-1), "changed 1 share reloaded");
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

for (const detection of DETECTIONS) {
  test(`B4 ${detection}: a content that was rejected before the start is told, not tried again, and mending it applies the mend, also under stop`, async (t) => {
    const { clock, file, offered, told, watcher } = await watcherBench(t, {
      text: "bad",
      loaded: "a",
      rejected: "bad",
      settings: { detection, onFailure: "stop" },
      onChange: service,
    });
    await clock.advance(10_000);
    assert.deepEqual([told(), offered], [["error wrong: bad"], []]);
    const { watching, lastError, lastSync, hash } = watcher.state;
    assert.deepEqual([watching, lastSync, hash], ["live", null, sha256("a")]);
    assert.deepEqual([lastError?.kind, lastError?.reason], ["rejected", "wrong: bad"]);
    file.save("mended");
    await clock.advance(5_000);
    assert.deepEqual(told(), ["error wrong: bad", "changed 1 share reloaded"]);
    assert.deepEqual([watcher.state.lastError, watcher.state.watching], [null, "live"]);
    assert.equal(watcher.state.hash, sha256("mended"));
  });
}

test("B4 a content that was mended while the service started is applied", async (t) => {
  const { clock, offered, watcher } = await watcherBench(t, {
    text: "mended",
    loaded: "a",
    rejected: "bad",
    onChange: service,
  });
  await clock.advance(5_000);
  assert.deepEqual([offered, watcher.state.lastError], [["mended"], null]);
});

test("B4 under stop a second mistake ends watching, as the first failed reload", async (t) => {
  const { clock, file, told, watcher } = await watcherBench(t, {
    text: "bad",
    loaded: "a",
    rejected: "bad",
    settings: { onFailure: "stop" },
    onChange: service,
  });
  file.save("bad again");
  await clock.advance(5_000);
  assert.equal(watcher.state.watching, "stopped");
  assert.equal(told().length, 2);
  file.save("a");
  void watcher.reloadNow();
  await clock.advance(5_000);
  assert.deepEqual([watcher.state.watching, watcher.state.lastError], ["live", null]);
});
