import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type CallArguments,
  createArguments,
  rawMistake,
  rawText,
  redrawn,
  sentArguments,
  withRaw,
} from "../../../../src/api/forms/call-arguments.ts";
import { firstMistake, mistakeAt, withNode } from "../../../../src/api/forms/form-node.ts";
import { searchTools } from "../../../../src/web/page/catalog/catalog-view.ts";
import { typedInto, typedValue } from "../../../../src/web/page/catalog/form-view.ts";

const TOOLS = [
  { name: "read_file", backend: "files", description: "Reads a file as text" },
  { name: "list", backend: "files", description: "Lists what a folder has, each file with its size" },
  { name: "search", backend: "web" },
];
const names = (words: string, backend = ""): string[] =>
  searchTools(TOOLS, words, backend).map(({ name }) => name);

test("every word must occur, and names weigh more than descriptions", () => {
  assert.deepEqual(names(""), ["read_file", "list", "search"]);
  assert.deepEqual(names("FILE"), ["read_file", "list"]);
  assert.deepEqual(names("file size"), ["list"]);
  assert.deepEqual(names("web"), ["search"]);
  assert.deepEqual(names("file nothing"), []);
  assert.deepEqual(names("", "web"), ["search"]);
});

const text = { type: "string" };
const formOf = (a: object, required: readonly string[] = []): CallArguments =>
  createArguments({ type: "object", properties: { a, b: text }, required });

function typed(form: CallArguments, value: string): CallArguments {
  const [node] = form.root.children;
  assert.ok(node !== undefined);
  const filled = typedInto(node, value);
  assert.equal(typedValue(filled), value, "the browser shows what was typed");
  return { ...form, root: withNode(form.root, [0], filled) };
}

/** The arguments as they are sent, or the first mistake. */
function sent(form: CallArguments): string {
  const given = sentArguments(form);
  if (given !== null) return JSON.stringify(given);
  const path = firstMistake(form.root);
  const at = path?.reduce((node, index) => node.children[index] ?? node, form.root);
  return rawMistake(form) ?? (at === undefined ? "no mistake" : `${mistakeAt(at)}`);
}

const ROWS: readonly [schema: object, typed: string, optional: string, required: string][] = [
  [text, "x", '{"a":"x"}', '{"a":"x"}'],
  [text, "", "{}", '{"a":""}'],
  [{ type: "integer" }, "12345678901234567890", '{"a":12345678901234567890}', '{"a":12345678901234567890}'],
  [{ type: "integer" }, "0x10", "a whole number, such as 12", "a whole number, such as 12"],
  [{ type: "integer" }, "", "{}", "required"],
  [{ type: "number" }, "1e999", "a smaller number", "a smaller number"],
  [{ type: "number", exclusiveMinimum: 0 }, "0", "more than 0", "more than 0"],
  [{ type: "number", exclusiveMaximum: 1 }, "0.5", '{"a":0.5}', '{"a":0.5}'],
  [{ type: "boolean" }, "false", '{"a":false}', '{"a":false}'],
  [{ type: "boolean" }, "true", '{"a":true}', '{"a":true}'],
  [{ type: "boolean" }, "", "{}", "required: choose one"],
  [{ enum: ["1", 1] }, "1", '{"a":1}', '{"a":1}'],
  [{ enum: ["1", 1] }, '"1"', '{"a":"1"}', '{"a":"1"}'],
  [{ enum: ["x"] }, "", "{}", "required: choose one"],
  [{}, '{"n":12345678901234567890}', '{"a":{"n":12345678901234567890}}', '{"a":{"n":12345678901234567890}}'],
  [{}, "", "{}", "required"],
];

test("F2 a value typed into a field is sent as typed, or its error is shown", () => {
  for (const [schema, value, optional, required] of ROWS) {
    assert.equal(sent(typed(formOf(schema), value)), optional, JSON.stringify([schema, value]));
    assert.equal(sent(typed(formOf(schema, ["a"]), value)), required, JSON.stringify([schema, value]));
  }
  assert.equal(sent(formOf(text, ["a"])), "required", "nobody was at it");
});

test("F2 a browser that would round a number says so instead of sending another one", (t) => {
  t.mock.property(JSON as unknown as Record<"rawJSON", unknown>, "rawJSON", undefined);
  const long = "12345678901234567890";
  assert.match(sent(typed(formOf({ type: "integer" }), long)), /at most 15 digits/);
  assert.match(sent(withRaw(formOf({}), `{"a": ${long}}`)), /at most 15 digits/);
  assert.equal(sent(typed(formOf({ type: "integer" }), "12")), '{"a":12}');
});

test("D1 typed values outlive a change of the schema wherever a field accepts them", () => {
  const schema = (properties: object, required: readonly string[] = []): CallArguments =>
    createArguments({ type: "object", properties, required });
  const before = withRaw(
    schema({
      kept: text,
      turned: text,
      chosen: { enum: ["x", "y"] },
      gone: { enum: ["x"] },
      list: { type: "array", items: { type: "integer" } },
      group: { type: "object", properties: { in: text } },
      cleared: { ...text, default: "d" },
    }),
    '{"kept":"k","turned":"t","chosen":"y","gone":"x","list":[1,2],"group":{"in":"i"}}',
  );
  const after = schema(
    {
      fresh: text,
      kept: text,
      turned: { type: "integer" },
      chosen: { enum: ["new", "x", "y"] },
      gone: { enum: ["z"] },
      list: { type: "array", items: { type: "integer" }, minItems: 3 },
      group: { type: "object", properties: { more: text, in: text } },
      cleared: { ...text, default: "d" },
    },
    ["cleared"],
  );
  const now = redrawn(after, before);
  assert.equal(sent(now), "at least 3 items, not 2");
  assert.deepEqual(JSON.parse(rawText(now)), { kept: "k", chosen: "y", list: [1, 2], group: { in: "i" } });
  assert.deepEqual(redrawn(before, before), before, "the same schema changes nothing");
});

test("D1 arguments typed as JSON return to the fields that accept them", () => {
  const form = formOf({ type: "integer" });
  assert.equal(withRaw(form, " \n").raw, null, "nothing at all is no arguments");
  assert.equal(typedValue(withRaw(form, '{"a": 7}').root.children[0] ?? form.root), "7");
  for (const [raw, said] of [
    ['{"a": "seven"}', '{"a":"seven"}'],
    ['{"a": 12345678901234567890}', '{"a":12345678901234567890}'],
    ['{"c": 1}', '{"c":1}'],
    ["[1]", "expected an object: { ... }"],
    ["{", 'line 1:2: expected a name in quotes, as in "name": 1, or }'],
  ] as const) {
    const kept = withRaw(form, raw);
    assert.equal(kept.raw, raw);
    assert.equal(sent(kept), said);
  }
});
