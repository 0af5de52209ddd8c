import assert from "node:assert/strict";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { createDurableValue } from "../../../src/runtime/files/durable-value.ts";
import type { Clock } from "../../../src/runtime/time/clock.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

function valueAt(path: string, clock: Clock) {
  const told: string[] = [];
  const state = { text: "first" };
  const value = createDurableValue({
    path,
    clock,
    content: () => state.text,
    onUnsaved: ({ message }) => told.push(message),
    onSavedAgain: (failures) => told.push(`saved after ${failures}`),
  });
  return { told, state, value };
}

test("A5 a write that fails is told once and tried again, with what is newest by then", async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, "value");
  const clock = createManualClock();
  const { told, state, value } = valueAt(path, clock);
  await mkdir(path);
  assert.match((await value.save())?.message ?? "", /EISDIR|ENOTEMPTY|EEXIST/u);
  assert.notEqual(await value.save(), null);
  assert.equal(told.length, 1);
  await rm(path, { recursive: true });
  state.text = "second";
  await clock.advance(2_000);
  await eventually(() => value.unsavedBecause === null);
  assert.equal(await readFile(path, "utf8"), "second");
  assert.equal(told[1], "saved after 2");
  await value[Symbol.asyncDispose]();
  assert.equal(clock.pendingTimers, 0);
});

test("B11 a disk that hangs holds up nobody's end, and the late write replaces nothing", async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, "value");
  const clock = createManualClock();
  // Each deadline is over before a disk can have answered.
  const hasty: Clock = {
    ...clock,
    setTimer(delayMs, callback) {
      queueMicrotask(callback);
      return clock.setTimer(delayMs, () => {});
    },
  };
  const { told, value } = valueAt(path, hasty);
  assert.match((await value.save())?.message ?? "", /no answer/u);
  await value[Symbol.asyncDispose]();
  await writeFile(path, "another process's");
  await eventually(async () => (await readdir(folder)).length === 1);
  assert.equal(await readFile(path, "utf8"), "another process's");
  assert.equal(told.length, 1);
});
