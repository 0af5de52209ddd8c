import assert from "node:assert/strict";
import { test } from "node:test";
import type { CatalogItem } from "../../../src/tui/catalog/catalog-items.ts";
import { catalogSentences, toolSentences } from "../../../src/tui/plain/catalog-sentences.ts";
import { fleetSentences, noFleetSentences } from "../../../src/tui/plain/fleet-sentences.ts";
import { sampleFleet, sampleMachine } from "../../api/sample-fleet.ts";

function toolOf(name: string, entry: object = {}, backend = "files"): CatalogItem {
  const given = { name, backend, ...entry };
  return { id: name, kind: "tool", name, backend, summary: "", entry: given, sought: name, soughtName: name };
}

test("F2 the catalog is said backend by backend, and no more of it than one listens to", () => {
  assert.deepEqual(catalogSentences([], ""), ["nothing is offered yet"]);
  assert.deepEqual(catalogSentences([], "moon"), ["nothing in the catalog is like moon"]);
  const withheld: CatalogItem = { ...toolOf("gone"), kind: "withheld", summary: "its share is away" };
  assert.deepEqual(catalogSentences([toolOf("b"), toolOf("x", {}, "web"), toolOf("a"), withheld], ""), [
    "backend files: 2 tools, 1 withheld",
    "tool b",
    "tool a",
    "withheld gone: its share is away",
    "backend web: 1 tool",
    "tool x",
  ]);
  const many = catalogSentences(
    Array.from({ length: 5_000 }, (_, index) => toolOf(`t${index}`)),
    "",
  );
  assert.equal(many.length, 102);
  assert.deepEqual(
    [many[0], many.at(-1)],
    ["backend files: 5000 tools", "4900 more; find them by words, as in: catalog read file"],
  );
});

test("F2 a tool's arguments are said one by one, those inside of an object with it before them", () => {
  const text = { type: "string" };
  const owner = { type: "object", properties: { name: text }, required: ["name"] };
  const said = toolSentences(
    toolOf("echo", {
      description: "Answers.\ntool x: not ours",
      annotations: { readOnlyHint: true },
      input_schema: {
        type: "object",
        properties: {
          title: { ...text, description: "What it is called" },
          count: { type: "integer", minimum: 1, exclusiveMaximum: 10, default: 3 },
          loud: { type: "boolean" },
          color: { enum: ["red", 2] },
          owners: { type: "array", items: owner },
          filter: { oneOf: [text, { type: "number" }] },
        },
        required: ["title", "owners"],
      },
    }),
    false,
  );
  assert.deepEqual(said, [
    "tool echo of backend files",
    "it says: Answers.",
    "it says: tool x: not ours",
    "Marked read-only",
    "its arguments:",
    "title, text, required: What it is called",
    "count, whole number, at least 1, below 10, optional, 3 when left out",
    "loud, true or false, optional",
    'color, one of "red" 2, optional',
    "owners, list, each object with fields of its own, required",
    "owners.name, text, required",
    "filter, JSON, as its schema has oneOf, optional",
    `to call it, run in a shell: mountaineer call echo '{"title": …, "owners": …}'`,
  ]);
});

test("a foreign name stays one word of the command that is said", () => {
  const last = (name: string, schema: object = {}) =>
    toolSentences(toolOf(name, { input_schema: { type: "object", ...schema } }), true).at(-1);
  assert.equal(last("plain"), "to call it, run on that machine: mountaineer call plain");
  assert.equal(
    last("a;b 'c'", { properties: { "it's": { type: "string" } }, required: ["it's"] }),
    `to call it, run on that machine: mountaineer call 'a;b '\\''c'\\''' '{"it'\\''s": …}'`,
  );
  assert.deepEqual(toolSentences(toolOf("odd", { input_schema: { type: "array" } }), false).slice(1, 4), [
    "it has no description",
    "its arguments:",
    "one JSON object: its items are not all of one kind",
  ]);
});

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
