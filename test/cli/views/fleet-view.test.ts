import assert from "node:assert/strict";
import { test } from "node:test";
import { renderFleet } from "../../../src/cli/views/fleet-view.ts";
import { sampleFleet, sampleMachine, sampleMachineState } from "../../api/sample-fleet.ts";
import { secondsAgo } from "../../api/sample-report.ts";
import { assertHarmless, HOSTILE, PLAIN } from "./looks.ts";

test("G1 the fleet as text: the link, and each machine with what it tells", () => {
  assert.equal(
    renderFleet(sampleFleet(), PLAIN),
    `Fleet, as laptop  ● connected (for 3 min)
  server    tls://nas.example:4222
  4 machines: 2 here, 1 silent, 1 unreadable; trouble on 2

laptop (this machine)  ● here  Mountaineer 0.1.0
  share     CORE mounted over Thunderbolt
  backend   files Ready, 12 tools

nas  ✗ silent, last heard from 1 min ago  Mountaineer 0.1.0
  ▲ state.json cannot be written
  share     CORE not mounted: no host answers
  backend   files Ready, 12 tools
    and 2 more, too many to tell

phone  ▲ unreadable
  ▲ it is not a JSON object

desktop  ● here, last heard from 4 s ago  Mountaineer 0.1.0
  share     CORE mounted over Thunderbolt
  backend   files Ready, 12 tools
`,
  );
});

test("G1 each machine shows which of the fleet's configurations it runs, and which it refuses", () => {
  const refused = { revision: 8, reason: "fleet revision 8:3:5: backends.x: found\u001b[2J nothing" };
  const machines = [
    sampleMachine({ state: sampleMachineState({ layer: { revision: 7, refused } }) }),
    sampleMachine({ name: "nas", state: sampleMachineState({ layer: { revision: null, refused: null } }) }),
  ];
  const text = renderFleet(sampleFleet({ machines }), { ...PLAIN, width: 200 });
  assert.match(
    text,
    /▲ config: the fleet's revision 8 is not taken: fleet rev.*\n {2}config +the fleet's revision 7\n/,
  );
  assert.ok(!text.includes("\u001b"));
  assert.equal(text.match(/config/g)?.length, 2);
});

test("G1 a fleet that is away says why, and what can be done", () => {
  const link = {
    state: "away" as const,
    server: "tls://nas.example:4222",
    since: secondsAgo(90),
    last_error: "no answer in time",
    hint: null,
  };
  const condition = {
    code: "fleet_unreachable",
    severity: "warning" as const,
    title: "The fleet is not reached: no answer in time",
    hint: "It is tried again and again.",
    since: secondsAgo(90),
  };
  const machines = [
    sampleMachine({ presence: "unheard", heard_secs_ago: null }),
    sampleMachine({ name: "nas", presence: "gone", heard_secs_ago: 300 }),
  ];
  const text = renderFleet(sampleFleet({ link, conditions: [condition], machines, more: 2 }), PLAIN);
  assert.match(text, /▲ not connected \(for 1 min\)/);
  assert.match(text, /▲ The fleet is not reached: no answer in time[\s\S]*It is tried again/);
  assert.match(text, /desktop {2}○ not heard from yet/);
  assert.match(text, /nas {2}○ stopped 5 min ago/);
  assert.match(text, /2 more are too many/);
  const first = renderFleet(sampleFleet({ link: { ...link, last_error: null } }), PLAIN);
  assert.match(first, /○ connecting/);
});

test("G1 of a thousand machines each is a line, those with trouble first, and a name shows all of one", () => {
  const machines = Array.from({ length: 1_000 }, (_, index) => {
    const name = `m${String(index).padStart(3, "0")}`;
    if (index === 700) return sampleMachine({ name, presence: "silent", heard_secs_ago: 95 });
    return sampleMachine({ name, own: index === 0 });
  });
  const lines = renderFleet(sampleFleet({ machines }), PLAIN).split("\n");
  assert.deepEqual(lines.slice(2, 7), [
    "  1000 machines: 999 here, 1 silent; trouble on 1",
    "",
    "m000  ● this machine  1 share, 1 backend, 12 tools",
    "m700  ✗ silent        ✗ silent, last heard from 1 min ago",
    "m001  ● here          1 share, 1 backend, 12 tools",
  ]);
  assert.deepEqual(lines.slice(-3), ["", "mountaineer fleet status NAME shows all of one", ""]);
  assert.equal(lines.length, 4 + 1_000 + 3);
  const chosen = machines.filter(({ name }) => name === "m700");
  const one = renderFleet(sampleFleet({ machines: chosen }), PLAIN, { isChosen: true });
  assert.match(
    one,
    /^Fleet, as laptop.*\n.*\n\nm700 {2}✗ silent, last heard from 1 min ago[\s\S]*CORE mounted/,
  );
});

test("G1 what other machines write drives no terminal, whatever a daemon lets through", () => {
  const state = sampleMachineState({
    version: HOSTILE,
    shares: [{ name: HOSTILE, phase: HOSTILE, route: HOSTILE, reason: HOSTILE }],
    backends: [{ name: HOSTILE, phase: HOSTILE, tools: 1, reason: HOSTILE }],
    conditions: [{ code: HOSTILE, severity: "error", title: HOSTILE }],
  });
  const text = renderFleet(
    sampleFleet({ machines: [sampleMachine({ name: HOSTILE, problem: HOSTILE, state })] }),
    PLAIN,
  );
  assertHarmless(text);
});
