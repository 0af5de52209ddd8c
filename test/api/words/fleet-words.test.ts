import assert from "node:assert/strict";
import { test } from "node:test";
import {
  fleetSummary,
  lineWords,
  machineCounts,
  machineLines,
  machineSearchText,
  machineTrouble,
  presenceWords,
  troubledFirst,
} from "../../../src/api/words/fleet-words.ts";
import { sampleFleet, sampleMachine, sampleMachineState } from "../sample-fleet.ts";

test("G1 how a machine is, in words that need no colour", () => {
  const words = [
    [{ own: true, heard_secs_ago: 0 }, "here"],
    [{}, "here, last heard from 4 s ago"],
    [{ presence: "silent" as const, heard_secs_ago: 95 }, "silent, last heard from 1 min ago"],
    [{ presence: "silent" as const, heard_secs_ago: null }, "silent, gives no answer"],
    [{ presence: "gone" as const }, "stopped 4 s ago"],
    [{ presence: "unheard" as const, heard_secs_ago: null }, "not heard from yet"],
    [{ presence: "unreadable" as const }, "unreadable"],
  ] as const;
  for (const [changes, text] of words) assert.equal(presenceWords(sampleMachine(changes)).text, text);
});

test("G1 what a machine tells, line by line: what is wrong first, then shares with their routes, then backends", () => {
  const state = sampleMachineState({
    shares: [
      { name: "CORE", phase: "mounted", route: "tb", reason: null },
      { name: "MEDIA", phase: "error", route: "none", reason: "no host answers" },
      // What is looked up is a stranger's word.
      { name: "odd", phase: "mounted", route: "constructor", reason: null },
    ],
    backends: [{ name: "db", phase: "Initializing", tools: 1, reason: "waits for its share" }],
    conditions: [{ code: "disk", severity: "error", title: "the disk is full" }],
  });
  const machine = sampleMachine({ problem: "two machines use this name", state });
  assert.deepEqual(
    machineLines(machine).map((line) => `${line.tone} ${line.about} ${line.name ?? "-"} ${lineWords(line)}`),
    [
      "warning wrong - two machines use this name",
      "bad wrong - the disk is full",
      "good share CORE mounted over Thunderbolt",
      "bad share MEDIA not mounted: no host answers",
      "warning share odd mounted over an unknown route",
      "plain backend db Starting, 1 tool: waits for its share",
    ],
  );
  assert.equal(machineCounts(machine), "3 shares, 1 backend, 1 tool");
  assert.equal(machineTrouble(machine)?.text, "the disk is full");
  assert.match(machineSearchText(machine), /^desktop here .*MEDIA not mounted/);
});

test("G1 the worst comes first, this machine before all, and one that stopped in order troubles nobody", () => {
  const failed = { name: "db", phase: "Failed", tools: 0, reason: "exit 1" };
  const warned = { code: "x", severity: "warning" as const, title: "the clock is off" };
  const machines = [
    sampleMachine({ name: "own", own: true }),
    sampleMachine({ name: "well" }),
    sampleMachine({ name: "warned", state: sampleMachineState({ conditions: [warned] }) }),
    sampleMachine({ name: "stopped", presence: "gone", state: sampleMachineState({ backends: [failed] }) }),
    sampleMachine({ name: "failed", state: sampleMachineState({ backends: [failed] }) }),
  ];
  assert.deepEqual(
    troubledFirst(machines).map(({ name }) => name),
    ["own", "failed", "warned", "well", "stopped"],
  );
  assert.equal(
    fleetSummary(sampleFleet({ machines, more: 3 })).text,
    "5 machines: 4 here, 1 stopped; trouble on 2; 3 more are too many to keep",
  );
  const well = [sampleMachine({ own: true }), sampleMachine({ name: "nas" })];
  assert.equal(fleetSummary({ machines: well, more: 0 }).text, "2 machines: all here; no trouble");
  const unheard = [sampleMachine({ own: true }), sampleMachine({ name: "nas", presence: "unheard" })];
  assert.deepEqual(fleetSummary({ machines: unheard, more: 0 }), {
    text: "2 machines: 1 here, 1 not heard",
    tone: "plain",
  });
});
