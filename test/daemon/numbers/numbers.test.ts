import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { MOST_SUBJECTS } from "../../../src/daemon/numbers/numbers.ts";
import { sampleBackend } from "../../api/sample-gateway.ts";
import { sampleShare } from "../../api/sample-report.ts";
import { pluck } from "../../support/pluck.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { DAY_MS, folded, HOUR_MS, numbersBench } from "./numbers-bench.ts";

const MINUTE_MS = 60_000;
const MB = 1_000_000;

test("F9 a week is right over restarts, a handover, clock jumps, a share renamed, a server removed and back", async (t) => {
  const b = numbersBench(await temporaryFolder(t));
  let daemon = await b.start();
  // Monday, 3 a.m.: five minutes on the fallback, with a wait.
  b.play(3 * HOUR_MS + 5_000);
  b.turn("fallback");
  b.now.mount = { bytesUp: 0, bytesDown: 0, pauses: 2 };
  b.play(5 * MINUTE_MS);
  b.turn("tb");
  b.play(6 * HOUR_MS - 5 * MINUTE_MS - 5_000);
  // From 9 to 10: a call in each ten seconds, two slow ones and an error, and 600 MB read.
  for (let tick = 0; tick < 360; tick++) {
    b.called("files", [8], tick === 200 ? 1 : 0);
    if (tick >= 358) b.called("files", [900]);
    b.now.mount = { bytesUp: 0, bytesDown: ((tick + 1) * 600 * MB) / 360, pauses: 2 };
    b.play(10_000);
  }
  const hour = daemon.series("server", "files", "hour");
  assert.deepEqual([folded(hour.calls), hour.errors[200], hour.step_s], ["1*358 2*2", 1, 10]);
  const [server] = daemon.report().servers;
  assert.deepEqual(
    [server?.calls_hour, server?.errors_hour, server?.spark.join(" "), server?.last_used],
    [362, 1, "30 30 30 30 30 30 30 30 30 30 30 32", "2026-01-05T10:00:00.000Z"],
  );
  assert.ok(Math.abs((server?.p99_ms ?? 0) / 8 - 1) < 0.125, `${server?.p99_ms}`);
  assert.equal(daemon.report().shares[0]?.read_mb_s.toFixed(3), "0.167");
  // No daemon from noon to 2 p.m.; then one that takes over at midnight.
  b.play(2 * HOUR_MS);
  await daemon.end();
  assert.equal(b.pending(), 0);
  b.play(2 * HOUR_MS);
  daemon = await b.start();
  b.play(10 * HOUR_MS);
  await daemon.end();
  b.play(9_000);
  daemon = await b.start({ follows: true });
  b.play(MINUTE_MS - 9_000);
  const monday = daemon.series("share", "CORE", "day");
  // A slot of five minutes has the route that it was on longest.
  assert.equal(folded(monday.route), "tb*35 fallback*1 tb*107 null*24 tb*121");
  assert.equal(folded(monday.impact), "fine*35 waited*1 fine*107 null*24 fine*121");
  assert.deepEqual(
    monday.marks.map(({ at, kind, count }) => `${at.slice(11, 16)} ${kind} ${count}`),
    ["03:00 moved_to_fallback 1", "03:00 waited 2", "03:05 moved_to_tb 1"],
  );
  assert.deepEqual(
    daemon.report().shares[0]?.day.map(({ from, impact }) => `${from.slice(11, 16)} ${impact}`),
    ["00:05 fine", "03:00 waited", "03:05 fine", "12:00 unknown", "14:00 fine"],
  );
  assert.equal(folded(daemon.series("share", "CORE", "hour").impact), "fine*360", "the handover is no gap");
  // Tuesday: at 6 the clock is set to 7; at noon to 11:30.
  b.play(6 * HOUR_MS - MINUTE_MS);
  b.jump(HOUR_MS);
  b.play(5 * HOUR_MS);
  b.called("files", [8]);
  b.turn("fallback");
  b.play(MINUTE_MS);
  b.jump(-HOUR_MS / 2);
  b.play(MINUTE_MS);
  assert.deepEqual(daemon.series("share", "CORE", "hour").marks, [], "what was later is dropped");
  b.play(12.5 * HOUR_MS - 2 * MINUTE_MS);
  const tuesday = daemon.series("share", "CORE", "week");
  // The hour of noon has what came before the jump and after it.
  assert.equal(folded(tuesday.impact.slice(-24)), "fine*6 null*1 fine*17");
  // Wednesday: the share is renamed; the server is removed, and back on Thursday.
  b.now.shares = [sampleShare({ name: "VAULT", mount_state: "mounted", active_interface: "tb" })];
  b.now.backends = [];
  b.bus.publish({ name: "share.unmanaged", share: "CORE", left_mounted_over: "tb" });
  b.play(DAY_MS);
  assert.deepEqual(pluck(daemon.report().shares, "name"), ["VAULT"]);
  assert.deepEqual(daemon.report().servers, []);
  b.now.backends = [sampleBackend({ name: "files", phase: "Ready" })];
  b.play(4 * DAY_MS);
  await daemon.end();
  daemon = await b.start();
  const week = daemon.series("server", "files", "week");
  assert.equal(week.from, "2026-01-05T00:00:00.000Z");
  assert.equal(folded(week.impact), "fine*12 null*2 fine*16 null*1 fine*17 null*24 fine*96");
  assert.deepEqual([week.calls[9], week.errors[9], week.calls[10]], [362, 1, 0]);
  assert.equal(folded(daemon.series("share", "VAULT", "week").route), "null*48 tb*120");
  assert.equal(folded(daemon.series("share", "CORE", "week").route.slice(48)), "null*120");
  assert.equal(daemon.series("share", "CORE", "month").marks.length, 3);
  await daemon.end();
  assert.deepEqual(b.told(), []);
});

test("F9 a sleep of the machine is unknown, and so is a share that was not observed yet", async (t) => {
  const b = numbersBench(await temporaryFolder(t));
  let isObserved = false;
  const daemon = await b.start({ isObserved: () => isObserved });
  b.play(10 * MINUTE_MS);
  assert.equal(folded(daemon.series("share", "CORE", "hour").route), "null*360");
  isObserved = true;
  b.play(10 * MINUTE_MS);
  b.jump(20 * MINUTE_MS);
  b.play(10 * MINUTE_MS);
  assert.match(
    folded(daemon.series("share", "CORE", "hour").route),
    /^null\*12\d tb\*(?:59|60) null\*12\d tb\*(?:59|60)$/,
  );
  await daemon.end();
});

test("F9 failures that are over before the next reading count; each server has its starts and ends as marks", async (t) => {
  const b = numbersBench(await temporaryFolder(t));
  const daemon = await b.start();
  b.play(MINUTE_MS);
  b.bus.publish({ name: "backend.ended", backend: "files", reason: "r", retry_in_ms: 1 });
  const phase = { name: "backend.phase", backend: "files", from: "Ready", reason: null, took_ms: 1 } as const;
  b.bus.publish({ ...phase, to: "Failed" });
  b.bus.publish({ name: "backend.ready", backend: "files", tools: 1, resources: 0, prompts: 0, took_ms: 1 });
  b.bus.publish({ name: "share.error", share: "CORE", reason: "r" });
  b.now.backends.push(sampleBackend({ name: "wiki" }));
  b.bus.publish({ name: "backend.ready", backend: "wiki", tools: 1, resources: 0, prompts: 0, took_ms: 1 });
  b.play(MINUTE_MS);
  // A start that is over at the next reading is no wait; one that lasts is.
  for (const [phase, seconds] of [
    ["Initializing", 10],
    ["Ready", 20],
    ["Initializing", 30],
    ["Ready", 60],
  ] as const) {
    b.now.backends = [sampleBackend({ name: "files", phase })];
    b.bus.publish({
      name: "backend.phase",
      backend: "files",
      from: "?",
      to: phase,
      reason: null,
      took_ms: 1,
    });
    b.play(seconds * 1_000);
  }
  assert.equal(folded(daemon.series("server", "files", "hour").impact.slice(-12)), "fine*4 waited*2 fine*6");
  const { marks, impact } = daemon.series("server", "files", "hour");
  assert.deepEqual(pluck(marks, "kind", "count"), [
    ["started", 1],
    ["started", 1],
    ["failed", 1],
  ]);
  assert.deepEqual(pluck(daemon.series("server", "wiki", "hour").marks, "kind", "count"), [["started", 1]]);
  assert.equal(folded(impact.slice(-24, -12)), "fine*6 failed*1 fine*5");
  assert.equal(folded(daemon.series("share", "CORE", "hour").impact.slice(-18)), "failed*1 fine*17");
  assert.deepEqual(daemon.series("server", "unheard of", "day").calls, Array(288).fill(null));
  await daemon.end();
});

test("F9 of 300 servers those with trouble have numbers, then the busiest; the others are counted", async (t) => {
  const b = numbersBench(await temporaryFolder(t));
  const named = (nth: number, over = {}) =>
    sampleBackend({ name: `s${nth}`, phase: "Ready", calls: nth, ...over });
  b.now.backends = Array.from({ length: 300 }, (_, nth) => named(nth));
  const daemon = await b.start();
  const names = () => new Set(pluck(daemon.report().servers, "name"));
  assert.deepEqual([names().size, daemon.report().servers_omitted], [MOST_SUBJECTS, 50]);
  assert.deepEqual([names().has("s49"), names().has("s50")], [false, true]);
  b.now.backends = b.now.backends.map((each, nth) => (nth === 3 ? named(3, { phase: "Failed" }) : each));
  b.play(2 * MINUTE_MS);
  assert.deepEqual([names().has("s3"), names().has("s50"), names().size], [true, false, MOST_SUBJECTS]);
  await daemon.end();
});

test("F9 a clock that is wrong by a year loses no past if it is set right within ten minutes, at a start too", async (t) => {
  for (const wrongMs of [365 * DAY_MS, -365 * DAY_MS]) {
    const b = numbersBench(await temporaryFolder(t));
    const calls = () =>
      daemon.series("server", "files", "month").calls.reduce((sum: number, each) => sum + (each ?? 0), 0);
    const play = (ms: number): void => {
      b.called("files", [8]);
      b.play(ms);
    };
    let daemon = await b.start();
    for (let hour = 0; hour < 48; hour++) play(HOUR_MS);
    b.jump(wrongMs);
    play(5 * MINUTE_MS);
    b.jump(-wrongMs);
    b.play(HOUR_MS);
    assert.equal(calls(), 49);
    b.jump(wrongMs);
    for (let nth = 0; nth < 2; nth++) {
      await daemon.end();
      daemon = await b.start();
      b.play(5 * MINUTE_MS);
      assert.equal(calls(), 49);
    }
    b.jump(-wrongMs);
    b.play(MINUTE_MS);
    assert.equal(calls(), 49);
    // A clock that stays where it is, is believed.
    b.jump(wrongMs);
    b.play(11 * MINUTE_MS);
    for (let hour = 0; hour < 3; hour++) play(HOUR_MS);
    assert.equal(calls(), 3);
    assert.equal(folded(daemon.series("server", "files", "hour").impact), "fine*360");
    await daemon.end();
  }
});

test("F9 a server that was removed is forgotten after 35 days", async (t) => {
  const b = numbersBench(await temporaryFolder(t));
  for (const days of [1, 34, 2, 0]) {
    const daemon = await b.start();
    b.play(days * DAY_MS);
    b.now.backends = [];
    await daemon.end();
    assert.equal((await readFile(b.path, "utf8")).includes('"files"'), days > 0);
  }
});
