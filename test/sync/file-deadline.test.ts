import assert from "node:assert/strict";
import test from "node:test";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { withDeadline } from "../../src/sync/file-deadline.ts";
import type { WatchedFile } from "../../src/sync/watched-file.ts";
import { createManualClock, settle } from "../support/manual-clock.ts";

const FOREVER = new AbortController().signal;

function silentFile() {
  const clock = createManualClock();
  const answers: ((bytes: Uint8Array | null) => void)[] = [];
  const signals: AbortSignal[] = [];
  let failing: Error | null = null;
  const slow: WatchedFile = {
    path: "/etc/config.toml",
    isHere: (path) => path === "/etc",
    stat: async () => null,
    read(signal) {
      signals.push(signal);
      if (failing !== null) return Promise.reject(failing);
      return new Promise((resolve) => answers.push(resolve));
    },
  };
  return {
    clock,
    answers,
    signals,
    file: withDeadline(slow, clock, 5_000),
    fail: (error: Error | null) => (failing = error),
  };
}

const isLate = (error: unknown): boolean =>
  error instanceof MountaineerError && error.code === "timed_out" && error.retry === "later";

test("an answer in time passes, as does a failure, and no timer is left", async () => {
  const { clock, file, answers, fail } = silentFile();
  const read = file.read(FOREVER);
  answers[0]?.(new Uint8Array([1]));
  assert.deepEqual(await read, new Uint8Array([1]));
  fail(new Error("EIO"));
  await assert.rejects(file.read(FOREVER), /EIO/);
  assert.equal(await file.stat(FOREVER), null);
  assert.equal(file.isHere("/etc"), true);
  assert.equal(clock.pendingTimers, 0);
});

test("a late look rejects and is aborted; until it settles, further ones are refused at once", async () => {
  const { clock, file, answers, signals } = silentFile();
  const read = assert.rejects(file.read(FOREVER), isLate);
  await clock.advance(5_000);
  await read;
  assert.equal(signals[0]?.aborted, true);
  await assert.rejects(file.read(FOREVER), isLate);
  await assert.rejects(file.stat(FOREVER), isLate);
  assert.equal(signals.length, 1);
  answers[0]?.(null);
  await settle();
  assert.equal(await file.stat(FOREVER), null);
  const next = file.read(FOREVER);
  answers[1]?.(null);
  assert.equal(await next, null);
});

test("a look that is aborted by its owner rejects at once and refuses nobody", async () => {
  const { clock, file, answers } = silentFile();
  const own = new AbortController();
  const read = assert.rejects(file.read(own.signal), /enough/);
  own.abort(new Error("enough"));
  await read;
  await assert.rejects(file.read(own.signal), /enough/);
  assert.equal(clock.pendingTimers, 0);
  const next = file.read(FOREVER);
  answers[1]?.(null);
  assert.equal(await next, null);
});
