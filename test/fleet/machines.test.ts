import assert from "node:assert/strict";
import { test } from "node:test";
import type { StatusReport } from "../../src/api/contract/contract.ts";
import { Machines } from "../../src/fleet/machines.ts";
import {
  readSummary,
  SUMMARY_LIMIT_BYTES,
  type Summary,
  stateOf,
  summaryText,
} from "../../src/fleet/summary.ts";
import { sampleBackend } from "../api/sample-gateway.ts";
import { sampleGlobal, sampleShare } from "../api/sample-report.ts";
import { pluck } from "../support/pluck.ts";

const STATE = { version: "1", shares: [], backends: [], conditions: [], cut: 0 };
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const told = (changes: Partial<Summary> = {}): Uint8Array =>
  bytes(summaryText({ name: "nas", instance: "one", word: "here", state: STATE, ...changes }));

function laptop(): Machines {
  return new Machines({ name: "laptop", instance: "mine" });
}

test("G1 presence is judged by the last sign of life, and only by this machine's clock", () => {
  const machines = laptop();
  machines.read("nas", told(), false, 1_000);
  const presence = (connectedAtMs: number | null, nowMs: number): unknown =>
    machines.others(connectedAtMs, nowMs)[0]?.presence;
  // It stood in the bucket, and was asked at 1,000.
  assert.equal(presence(1_000, 2_999), "unheard");
  assert.equal(presence(1_000, 3_000), "silent");
  assert.equal(machines.others(1_000, 31_001)[0]?.heard_secs_ago, null);
  machines.recordBeat("nas", "one", 40_000);
  assert.equal(presence(1_000, 70_000), "here");
  assert.equal(presence(1_000, 70_001), "silent");
  assert.equal(machines.others(1_000, 75_900)[0]?.heard_secs_ago, 35);
  // While this machine does not listen, and until it has listened for long enough, that says nothing.
  assert.equal(presence(null, 90_000), "unheard");
  machines.read("nas", told(), false, 89_000);
  assert.equal(presence(88_001, 90_000), "unheard");
  machines.read("nas", told({ word: "gone" }), true, 91_000);
  assert.equal(presence(85_000, 91_000), "gone");
  machines.read("nas", told({ instance: "two" }), true, 92_000);
  assert.equal(presence(85_000, 92_000), "here");
  machines.forget("nas");
  assert.deepEqual(machines.others(85_000, 92_000), []);
});

test("G1 a machine that does not answer a presence check is silent", () => {
  const machines = laptop();
  machines.startReading(1_000);
  assert.equal(machines.isAwaiting, true, "nothing has been read");
  machines.read("nas", told(), false, 1_000);
  machines.read("off", told({ name: "off", word: "gone" }), false, 1_000);
  machines.read("old", told({ name: "old" }), false, 1_000);
  const presences = (nowMs: number): unknown[] =>
    machines.others(1_000, nowMs).map(({ presence }) => presence);
  assert.equal(machines.isAwaiting, true, "not all has been read");
  machines.caughtUp();
  assert.equal(machines.isAwaiting, true);
  assert.deepEqual(presences(2_999), ["unheard", "gone", "unheard"]);
  assert.deepEqual(presences(3_000), ["silent", "gone", "silent"]);
  for (const name of ["nas", "old"]) machines.recordBeat(name, "one", 3_000);
  assert.equal(machines.isAwaiting, false);
  assert.deepEqual(presences(3_000), ["here", "gone", "here"]);
  machines.startReading(3_000);
  machines.clear();
  assert.equal(machines.isAwaiting, false);
  assert.deepEqual(machines.others(null, 3_000), []);
});

test("G1 a machine that left while this one did not listen is gone when all has been read again", () => {
  const machines = laptop();
  for (const name of ["nas", "desktop"]) machines.read(name, told({ name }), true, 0);
  machines.startReading(1_000);
  machines.read("desktop", told({ name: "desktop" }), false, 1_000);
  assert.equal(machines.others(1_000, 1_000).length, 2);
  machines.caughtUp();
  assert.deepEqual(pluck(machines.others(1_000, 1_000), "name"), ["desktop"]);
});

test("G1 a machine without a sign of life for a week is forgotten", () => {
  const machines = laptop();
  machines.read("nas", told(), true, 0);
  const week = 7 * 24 * 3_600_000;
  assert.equal(machines.others(0, week).length, 1);
  assert.equal(machines.others(0, week + 1).length, 0);
  machines.startReading(week + 1);
  assert.equal(machines.size, 0);
  machines.read("off", told({ name: "off" }), false, 0);
  assert.equal(machines.others(0, week).length, 1);
  assert.equal(machines.others(0, week + 1).length, 0, "it was read only");
});

test("G1 a machine that has restarted is greeted once, whichever of its messages arrives first", () => {
  const machines = laptop();
  assert.equal(machines.recordBeat("nas", "one", 0), false, "it has told nothing yet");
  assert.equal(machines.read("nas", told(), true, 0), true);
  assert.equal(machines.recordBeat("nas", "one", 1_000), false);
  // Started again: its sign of life overtakes its summary.
  assert.equal(machines.recordBeat("nas", "two", 2_000), true);
  assert.equal(machines.read("nas", told({ instance: "two" }), true, 2_000), false);
  assert.equal(machines.read("nas", told({ instance: "three", word: "gone" }), true, 3_000), false);
  assert.equal(machines.recordBeat("laptop", "other", 3_000), false);
});

test("G1 two machines of one name are distinguished from one that was restarted", () => {
  const machines = laptop();
  const problem = (nowMs: number): unknown => machines.others(0, nowMs)[0]?.problem;
  machines.read("nas", told(), true, 0);
  machines.read("nas", told({ instance: "two" }), true, 1_000);
  machines.recordBeat("nas", "two", 1_000);
  assert.equal(problem(1_000), null, "a restart");
  machines.recordBeat("nas", "one", 2_000);
  assert.match(String(problem(2_000)), /two machines/);
  machines.recordBeat("nas", "two", 20_000);
  assert.match(String(problem(50_000)), /two machines/);
  assert.equal(problem(50_001), null);
  for (const restart of ["three", "four", "five"]) machines.recordBeat("nas", restart, 60_000);
  machines.recordBeat("nas", "one", 60_000);
  assert.equal(problem(60_000), null, "only the last few processes of a machine are remembered");
  // This machine's own name.
  assert.equal(machines.isNameTaken(3_000), false);
  machines.read("laptop", told({ name: "laptop", instance: "mine" }), true, 3_000);
  machines.read("laptop", told({ name: "laptop", instance: "before" }), false, 3_000);
  machines.read("laptop", told({ name: "laptop", instance: "before", word: "gone" }), true, 3_000);
  assert.equal(machines.isNameTaken(3_000), false);
  assert.deepEqual(pluck(machines.others(0, 3_000), "name"), ["nas"]);
  machines.read("laptop", told({ name: "laptop", instance: "another" }), true, 3_500);
  assert.equal(machines.isNameTaken(33_500), true);
  machines.recordBeat("laptop", "another", 4_000);
  assert.equal(machines.isNameTaken(34_000), true);
  assert.equal(machines.isNameTaken(34_001), false);
});

const HOSTILE: readonly [what: string, text: string | Uint8Array, problem: RegExp][] = [
  ["nothing", "", /not a JSON object/],
  ["no JSON", "{", /not a JSON object/],
  ["a list", "[]", /not a JSON object/],
  ["bytes", Uint8Array.of(0xff, 0xfe, 0), /not a JSON object/],
  ["another format", '{"format":2}', /format/],
  ["too much", `{"format":1,"x":"${"x".repeat(SUMMARY_LIMIT_BYTES)}"}`, /too long/],
  ["another's name", told({ name: "desktop" }), /says that it is of "desktop"/],
  ["members missing", '{"format":1,"name":"nas"}', /instance is not a text/],
  [
    "members of other types",
    JSON.stringify({ format: 1, name: "nas", instance: "a", word: "here", ...STATE, shares: [{ name: 7 }] }),
    /shares\.0\.name is not a text/,
  ],
  [
    "prototypes",
    '{"__proto__":{"name":"nas"},"format":1,"instance":"a","word":"here","version":"1","shares":[],"backends":[],"conditions":[],"cut":0}',
    /name is not a text/,
  ],
  ["a depth", `${"[".repeat(30_000)}`, /not a JSON object/],
];

for (const [what, text, problem] of HOSTILE) {
  test(`G1 a summary that is wrong (${what}) is shown as wrong, and harms nothing`, () => {
    const machines = laptop();
    machines.read("nas", typeof text === "string" ? bytes(text) : text, true, 0);
    machines.read("desktop", told({ name: "desktop" }), true, 0);
    const [desktop, nas] = machines.others(0, 0);
    assert.deepEqual([nas?.presence, nas?.state], ["unreadable", null]);
    assert.match(nas?.problem ?? "", problem);
    assert.equal(desktop?.presence, "here");
    machines.read("nas", told(), true, 1);
    assert.equal(machines.others(0, 1)[1]?.presence, "here");
  });
}

test("G1 texts of other machines lose terminal control characters and invisible ones", () => {
  const evil = "\u001b[2J\u202eevil\u0000\u200b\nline\u{e0041}";
  const state = {
    ...STATE,
    version: evil,
    shares: [
      {
        name: evil,
        phase: evil,
        route: evil,
        reason: evil.repeat(1_000),
        words: { text: evil, tone: "bad" } as const,
      },
    ],
    backends: [
      { name: evil, phase: evil, tools: 3, reason: evil, words: { text: evil, tone: "bad" } as const },
    ],
    conditions: [{ code: evil, severity: "error" as const, title: evil }],
  };
  const reading = readSummary("nas", told({ instance: evil, state }));
  assert.ok(reading.ok);
  const text = JSON.stringify(reading.summary);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
  assert.ok(!/\\u00|\\n|[\u0000-\u001f\u202e\u200b\u{e0041}]/u.test(text), text);
  assert.ok((reading.summary.state.shares[0]?.reason ?? "").length <= 240);
});

test("G1 a key that is not a machine's name is shown as unreadable", () => {
  const machines = laptop();
  machines.read("a.b", told({ name: "a.b" }), true, 0);
  const [machine] = machines.others(0, 0);
  assert.deepEqual([machine?.name, machine?.presence], ['"a.b"', "unreadable"]);
  machines.read("b.".repeat(100), told(), true, 0);
  assert.equal(machines.others(0, 0)[1]?.name.length, 64);
});

test("G1 machines beyond the limit are counted", () => {
  const machines = laptop();
  for (let n = 0; n < 1_003; n += 1) machines.read(`m${n}`, told({ name: `m${n}` }), false, 0);
  machines.read("m5", told({ name: "m5", instance: "two" }), false, 0);
  assert.deepEqual([machines.others(0, 0).length, machines.more], [1_000, 3]);
  machines.forget("m0");
  machines.read("m1002", told({ name: "m1002" }), false, 0);
  assert.deepEqual([machines.others(0, 0).length, machines.more], [1_000, 2]);
  machines.forget("m1001");
  assert.equal(machines.more, 1);
  for (let n = 2_000; n < 3_100; n += 1) machines.read(`m${n}`, told({ name: `m${n}` }), false, 0);
  assert.equal(machines.more, 1_000);
  machines.startReading(0);
  assert.equal(machines.more, 0);
  // Together they stay within bounds, too.
  const heavy = laptop();
  const filling = "x".repeat(60 * 1024);
  for (let n = 0; n < 400; n += 1) heavy.read(`m${n}`, bytes(filling), false, 0);
  assert.ok(heavy.size < 300 && heavy.more > 100, `${heavy.size}`);
  const kept = heavy.size;
  for (let n = 0; n < 300; n += 1) heavy.read(`m${n}`, bytes("x"), false, 0);
  for (let n = 1_000; n < 1_100; n += 1) heavy.read(`m${n}`, bytes(filling), false, 0);
  assert.equal(heavy.size, 400, "summaries that are shorter now leave room");
  heavy.clear();
  assert.equal(heavy.more, 0);
  for (let n = 0; n < 400; n += 1) heavy.read(`m${n}`, bytes(filling), false, 0);
  assert.equal(heavy.size, kept);
});

test("G1 a status of any size makes a summary within its bounds, cut with a count", () => {
  const reason = "why ".repeat(200);
  const status: StatusReport = {
    global: sampleGlobal(),
    shares: Array.from({ length: 400 }, (_, n) => sampleShare({ name: `SHARE-${n}`, last_error: reason })),
    backends: Array.from({ length: 400 }, (_, n) => sampleBackend({ name: `backend-${n}`, reason })),
  };
  const state = stateOf(status);
  const text = summaryText({ name: "nas", instance: "one", word: "here", state });
  assert.ok(Buffer.byteLength(text) < SUMMARY_LIMIT_BYTES, `${text.length}`);
  assert.ok(state.shares.length > 20 && state.backends.length > 20);
  assert.equal(state.shares.length + state.backends.length + state.cut, 800);
  const read = readSummary("nas", bytes(text));
  assert.deepEqual(read.ok && read.summary.state, state);
});

test("G1 a summary contains only the names, routes and reasons of shares", () => {
  const text = JSON.stringify(stateOf({ global: sampleGlobal(), shares: [sampleShare()] }));
  for (const kept of ["10.0.0.2", "192.168.1.20", "/home/ada"]) assert.ok(!text.includes(kept), kept);
});
