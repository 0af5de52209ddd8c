import assert from "node:assert/strict";
import { test } from "node:test";
import { fleetSentences, noFleetSentences } from "../../../src/tui/plain/fleet-sentences.ts";
import { sampleFleet, sampleMachine } from "../../api/sample-fleet.ts";

test("G1 in plain mode the fleet is said in sentences, and one machine in whole", () => {
  assert.deepEqual(fleetSentences(sampleFleet(), ""), [
    "fleet, as laptop: connected",
    "4 machines: 2 here, 1 silent, 1 unreadable; trouble on 2",
    "machine laptop, this one: here; 1 share, 1 backend, 12 tools",
    "machine nas: silent, last heard from 1 min ago; CORE not mounted: no host answers",
    "machine phone: unreadable; it is not a JSON object",
    "machine desktop: here, last heard from 4 s ago; 1 share, 1 backend, 12 tools",
    "fleet NAME says all of one machine",
  ]);
  const nas = [
    "machine nas: silent, last heard from 1 min ago; Mountaineer 0.1.0",
    "warning: state.json cannot be written",
    "share CORE: not mounted: no host answers",
    "backend files: Ready, 12 tools",
    "and 2 more, too many to tell",
  ];
  assert.deepEqual(fleetSentences(sampleFleet(), "nas"), nas);
  assert.deepEqual(fleetSentences(sampleFleet(), "Silent state.json"), nas);
  assert.deepEqual(fleetSentences(sampleFleet(), "moon"), ["no machine of the fleet is like moon"]);
});

test("G1 of a thousand machines nobody has to listen to each; who has no fleet hears what to type", () => {
  const machines = Array.from({ length: 1_000 }, (_, index) =>
    sampleMachine({ name: `m${index}`, own: index === 0 }),
  );
  const said = fleetSentences(sampleFleet({ machines }), "");
  assert.equal(said.length, 2 + 30 + 2);
  assert.ok(said.includes("970 more; find them by words, as in: fleet silent"));
  assert.match(noFleetSentences().join("\n"), /in no fleet[\s\S]*mountaineer fleet join CODE joins one/);
});
