import assert from "node:assert/strict";
import { appendFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { ShareStatus } from "../../../src/api/contract.ts";
import { paintFor } from "../../../src/cli/views/terminal-style.ts";
import { type LiveState, renderLive } from "../../../src/demo/live/live-view.ts";
import { createLogTail, eventOf } from "../../../src/demo/live/log-events.ts";
import type { TerminalStyle } from "../../../src/demo/stage/terminal-style.ts";
import { columns } from "../../../src/runtime/text/plain-text.ts";
import { sampleShare } from "../../api/sample-report.ts";
import { pluck } from "../../support/pluck.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

function style(color: boolean, unicode = true): TerminalStyle {
  return { unicode, paint: paintFor({ color, unicode }) };
}

const share = sampleShare({
  stable_path: "/tmp/d/Shares/CORE",
  tb_host: "127.0.0.2:4451",
  fb_host: "127.0.0.3:4452",
  ...{ last_switch_at: null, tb_reachable_since: null, tb_healthy_since: null },
});

const healthy: LiveState = {
  driver: "smb",
  plugged: { tb: true, fallback: true },
  addresses: { tb: "127.0.0.2:4451", fallback: "127.0.0.3:4452" },
  stablePath: "/tmp/mountaineer-demo-aBcDeF/Shares/CORE",
  share,
  reading: { ok: true, text: "hello from the NAS, no. 0042\n", tookMs: 123.4 },
  waitingMs: null,
  copy: null,
  heldBy: null,
  events: [],
};

const SMALL = { width: 60, height: 15 };

function shown(state: LiveState, size = SMALL): string {
  return renderLive(state, size, style(false)).join("\n");
}

test("both cables, the path, the content with its time, and the keys are there at 60 by 15", () => {
  const text = shown(healthy);
  assert.match(text, /t {2}Thunderbolt {2}●━{12}● {2}plugged {2}in use/);
  assert.match(text, /f {2}Fallback {5}●━{12}● {2}plugged(?! {2}in use)/);
  assert.match(text, /CORE {2}mounted over Thunderbolt/);
  assert.match(text, /\/tmp\/mountaineer-demo-aBcDeF\/Shares\/CORE$/m);
  assert.match(text, /hello\.txt {2}"hello from the NAS, no\. 0042" {2}read in 123 ms$/m);
  assert.match(text, / t {2}f pull, plug {2}o open file {2}h hold {2}c carry {2}q quit$/);
});

test("A10 a carried share is told as one, and so is what programs wait for", () => {
  const carried: NonNullable<ShareStatus["carried"]> = {
    port: 40_000,
    phase: "carrying",
    connections: 1,
    connections_in_all: 3,
    bytes_to_server: 0,
    bytes_from_server: 0,
    longest_wait_ms: 0,
    moves: 1,
  };
  assert.match(
    shown({ ...healthy, share: { ...share, carried } }),
    /CORE {2}mounted over Thunderbolt, carried$/m,
  );
  assert.match(shown({ ...healthy, share: { ...share, carried } }), / c no carry {2}q quit$/m);
  const waiting: ShareStatus = { ...share, mount_alive: false, carried: { ...carried, phase: "waiting" } };
  assert.match(shown({ ...healthy, share: waiting }), /CORE {2}mounted, programs wait for a route$/m);
  const refusing: ShareStatus = { ...waiting, carried: { ...carried, phase: "refusing" } };
  assert.match(shown({ ...healthy, share: refusing }), /CORE {2}mounted, no route: programs get errors$/m);
});

test("A10 the copy is shown as it goes on, waits or fails, with what to do next", () => {
  const copy = { progress: 0.42, waitingMs: null, complaint: null };
  const going = shown({ ...healthy, copy });
  assert.match(going, /a copy {5}█{6}░{10} 42 %, no error, goes on$/m);
  assert.match(going, /press t to pull the Thunderbolt cable: the copy goes on$/m);
  assert.match(shown({ ...healthy, copy: { ...copy, waitingMs: 1240 } }), /no error, waits 1\.2 s$/m);
  const pulled = shown({ ...healthy, copy, plugged: { tb: false, fallback: true } });
  assert.match(pulled, /the copy goes on over Fallback; t plugs it in again$/m);
  assert.match(
    shown({ ...healthy, copy: { ...copy, complaint: "dd: I/O error" } }),
    /a copy {5}✗ dd: I\/O error$/m,
  );
});

test("all keys are in one row of 60 columns, whatever they do just now; folders are not carried", () => {
  const carried = { ...share, held: "fallback" } as const;
  assert.match(
    shown({ ...healthy, heldBy: 42, share: carried }),
    / o close file {2}h let go {2}c carry {2}q quit$/,
  );
  assert.doesNotMatch(shown({ ...healthy, driver: "local" }), / c (?:no )?carry/);
});

test("a pulled cable looks pulled, and its key plugs it in", () => {
  const text = shown({ ...healthy, plugged: { tb: false, fallback: true } });
  assert.match(text, /Thunderbolt {2}●━{4}╸ {2}╺━{4}● {2}PULLED/);
});

test("TB Ready fills a line of its own, in the banner's colour and without it", () => {
  const state = {
    ...healthy,
    heldBy: 42,
    share: { ...share, active_interface: "fallback", tb_recovery_pending: true },
  } as const;
  assert.match(shown(state), /^ ▶▶ TB Ready: Thunderbolt is back; close the file \(o\)/m);
  const line = renderLive(state, SMALL, style(true)).find((each) => each.includes("TB Ready:")) ?? "";
  assert.ok(line.startsWith("\x1b[1;30;43m"), JSON.stringify(line));
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what is taken away.
  assert.equal(columns(line.replace(/\x1b\[[\d;]*m/g, "")), SMALL.width);
});

test("an error, a hold, a silent mount and a missing daemon are all told", () => {
  assert.match(
    shown({ ...healthy, share: { ...share, last_error: "both hosts are gone" } }),
    /✗ both hosts are gone/,
  );
  assert.match(shown({ ...healthy, share: { ...share, held: "fallback" } }), /held on Fallback by hand/);
  assert.match(shown({ ...healthy, share: { ...share, mount_alive: false } }), /not answering/);
  assert.match(shown({ ...healthy, share: { ...share, mount_state: "unmounted" } }), /not mounted/);
  assert.match(shown({ ...healthy, share: null }), /the daemon does not answer/);
  assert.match(shown({ ...healthy, waitingMs: 1234 }), /no answer for 1\.2 s/);
  assert.match(
    shown({ ...healthy, reading: { ok: false, why: "Input/output error", tookMs: 1 } }),
    /✗ Input\/output error/,
  );
});

test("it is never wider or higher than the terminal, whatever it has to tell", () => {
  const events = Array.from({ length: 50 }, (_, index) => ({
    atMs: index,
    text: `event ${index} ${"長い".repeat(40)}\x1b[2J`,
    tone: "bad" as const,
  }));
  const long: LiveState = {
    ...healthy,
    events,
    stablePath: `/tmp/${"x".repeat(300)}`,
    addresses: { tb: "y".repeat(300), fallback: "z" },
    share: { ...share, last_error: `an error ${"w".repeat(300)}` },
  };
  for (const width of [1, 5, 20, 60, 200]) {
    for (const height of [1, 3, 8, 15, 24, 60]) {
      const lines = renderLive(long, { width, height }, style(false));
      assert.ok(lines.length <= height, `${lines.length} lines at ${width}x${height}`);
      for (const line of lines) {
        assert.ok(columns(line) <= width, `${columns(line)} columns at ${width}x${height}: ${line}`);
        assert.ok(!line.includes("\x1b"));
      }
    }
  }
});

test("the newest events are shown, the last at the bottom; at least four at 60 by 15, and eight at 80 by 24", () => {
  const events = Array.from({ length: 20 }, (_, index) => ({
    atMs: 0,
    text: `event ${index}.`,
    tone: "plain" as const,
  }));
  const at = (width: number, height: number): string[] =>
    renderLive({ ...healthy, events }, { width, height }, style(false)).filter((line) =>
      line.includes("event "),
    );
  assert.ok(at(60, 15).length >= 4);
  assert.ok(at(80, 24).length >= 8);
  assert.ok(at(60, 15).at(-1)?.endsWith("event 19."));
});

test("without UTF-8 there is only ASCII", () => {
  const state: LiveState = {
    ...healthy,
    plugged: { tb: false, fallback: true },
    share: { ...share, tb_recovery_pending: true },
  };
  const text = renderLive(state, { width: 80, height: 24 }, style(false, false)).join("\n");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the whole of ASCII.
  assert.match(text, /^[\x00-\x7f]*$/);
});

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
  assert.deepEqual(pluck(await tail(), "text"), ["one"]);
  const two = line("zwei – 二");
  for (const byte of two.subarray(0, -1)) {
    await appendFile(path, Buffer.of(byte));
    assert.deepEqual(await tail(), []);
  }
  await appendFile(path, Buffer.concat([two.subarray(-1), line("three")]));
  assert.deepEqual(pluck(await tail(), "text"), ["zwei – 二", "three"]);
  assert.deepEqual(await tail(), []);
});
