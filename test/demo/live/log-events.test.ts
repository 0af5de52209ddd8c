import assert from "node:assert/strict";
import { appendFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { createLogTail, eventOf } from "../../../src/demo/live/log-events.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const time = "2026-11-20T09:11:24.938Z";

function textOf(message: string, fields: Readonly<Record<string, unknown>> = {}): string | null {
  return eventOf(JSON.stringify({ time, level: "info", message, ...fields }))?.text ?? null;
}

test("A9 what happened to the share is told in a few words", () => {
  const cases: [string, Record<string, unknown>, string | null][] = [
    [
      "share.failover",
      { from: "tb", to: "fallback", duration_ms: 93.4 },
      "Failed over from Thunderbolt to Fallback in 93 ms",
    ],
    [
      "share.recovered",
      { from: "fallback", to: "tb", duration_ms: 153 },
      "Went back from Fallback to Thunderbolt in 153 ms",
    ],
    [
      "share.route_down",
      { route: "tb", host: "127.0.0.2:36211", reason: "127.0.0.2:36211: connection refused" },
      "Thunderbolt is gone: connection refused",
    ],
    [
      "share.route_down",
      { route: "fallback", host: "/a/b", reason: "/a/b is not there" },
      "Fallback is not there",
    ],
    ["share.route_up", { route: "tb", host: "h", reason: "x" }, "Thunderbolt answers"],
    ["share.mounted", { from: "none", to: "tb", duration_ms: 304 }, "Mounted over Thunderbolt in 304 ms"],
    [
      "share.failover",
      { from: "tb", to: "fallback", duration_ms: 12, carried: true, quiet: false },
      "Failed over from Thunderbolt to Fallback in 12 ms; the mount stays",
    ],
    ["share.move_failed", { route: "tb", reason: "no answer" }, "Moving to Thunderbolt failed: no answer"],
    ["share.tb_ready", { reason: "x" }, "TB Ready: x"],
    ["share.held", { from: "auto", to: "fallback" }, "Held on Fallback by hand"],
    ["share.held", { from: "fallback", to: "auto" }, "Back to automatic"],
    ["share.mount_attempt", { route: "tb" }, null],
    ["share.something_new", {}, "share something new"],
    ["backend.ready", { tools: 3 }, null],
    ["running", {}, "the daemon runs"],
    ["some message of the log", {}, "some message of the log"],
  ];
  for (const [message, fields, expected] of cases) assert.equal(textOf(message, fields), expected, message);
});

test("what is no record is left out", () => {
  for (const line of ["", "text", "null", "3", "[]", "{}", '{"time":3,"message":"x"}'])
    assert.equal(eventOf(line), null);
});

test("a growing log is read line by line, each once, however it is torn", async (t) => {
  const path = join(await temporaryFolder(t), "log");
  const tail = createLogTail(path);
  const line = (message: string): Buffer => Buffer.from(`${JSON.stringify({ time, message })}\n`);
  assert.deepEqual(await tail(), [], "no file yet");
  await writeFile(path, line("one"));
  assert.deepEqual(
    (await tail()).map(({ text }) => text),
    ["one"],
  );
  const two = line("zwei – 二");
  for (const byte of two.subarray(0, -1)) {
    await appendFile(path, Buffer.of(byte));
    assert.deepEqual(await tail(), []);
  }
  await appendFile(path, Buffer.concat([two.subarray(-1), line("three")]));
  assert.deepEqual(
    (await tail()).map(({ text }) => text),
    ["zwei – 二", "three"],
  );
  assert.deepEqual(await tail(), []);
});
