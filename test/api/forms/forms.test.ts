import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "smol-toml";
import { createArguments, withRaw } from "../../../src/api/forms/call-arguments.ts";
import { type FormNode, mistakeAt, sentValue, withValue } from "../../../src/api/forms/form-node.ts";
import { readJson } from "../../../src/api/forms/json-text.ts";
import { argumentsField, type SchemaField } from "../../../src/api/forms/schema-fields.ts";
import { changedFields, sectionEdits, sectionForm } from "../../../src/api/forms/section-form.ts";
import { keyFindings } from "../../../src/config/read/value-findings.ts";
import { configJsonSchema, SECTIONS } from "../../../src/config/schema/schema.ts";
import { fc, runsOf } from "../../support/properties.ts";

const MISTAKES: readonly [text: string, line: number, column: number, expected: RegExp][] = [
  ["", 1, 1, /a value/],
  ['{"a":1,}', 1, 8, /a name in quotes/],
  ["{a: 1}", 1, 2, /a name in quotes/],
  ["{'a': 1}", 1, 2, /a name in quotes/],
  ['{"a" 1}', 1, 6, /a colon/],
  ['{"a": 1 "b": 2}', 1, 9, /a comma or \}/],
  ["[1,2", 1, 5, /a comma or \]/],
  ["[1 2]", 1, 4, /a comma or \]/],
  ["[1,]", 1, 4, /a value/],
  ['{\n  "a": [1,\n 2 3]}', 3, 4, /a comma or \]/],
  ['"a\\q"', 1, 1, /a closed text/],
  ['"two\nlines"', 1, 1, /a closed text/],
  ["tru", 1, 1, /a value/],
  ["True", 1, 1, /a value/],
  ["01", 1, 1, /a value/],
  ["1.", 1, 1, /a value/],
  ["1 2", 1, 3, /nothing more/],
  ["{} }", 1, 4, /nothing more/],
  ['{"é😀": }', 1, 8, /a value/],
  ["[}", 1, 2, /a value or \]/],
  ["[".repeat(100_000), 1, 501, /levels/],
];

test("D1 errors in typed JSON are reported by line and column", () => {
  for (const [text, line, column, expected] of MISTAKES) {
    const reading = readJson(text);
    assert.ok(reading.kind === "mistake", text);
    assert.deepEqual([reading.line, reading.column], [line, column], text.slice(0, 40));
    assert.match(reading.expected, expected);
  }
});

test("D1 JSON is read as the parser reads it, and numbers keep their digits", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), fc.constantFrom(0, 2), (value, indent) => {
      const text = JSON.stringify(value, null, indent);
      assert.deepEqual(readJson(text), { kind: "value", value: JSON.parse(text) });
    }),
    { numRuns: runsOf(400) },
  );
  const big = readJson('{"id": 12345678901234567890}');
  assert.ok(big.kind === "value");
  assert.equal(JSON.stringify(big.value), '{"id":12345678901234567890}');
});

test("D1 the position of any error is exactly where the parser finds one, or nowhere", () => {
  const pieces = fc.constantFrom(
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    '"a"',
    '"',
    "1",
    "-",
    "true",
    " ",
    "\n",
    "\\",
    "x",
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 8 }), (parts) => {
      const text = parts.join("");
      let isJson = true;
      try {
        JSON.parse(text);
      } catch {
        isJson = false;
      }
      assert.equal(readJson(text).kind === "value", isJson, text);
    }),
    { numRuns: runsOf(4_000) },
  );
});

/** The field in a few words: `a*: text`, with what is in it. */
function words({ name, isRequired, isNullable, of }: SchemaField): string {
  const marks = `${isRequired ? "*" : ""}${isNullable ? "?" : ""}`;
  const inner =
    of.kind === "group"
      ? ` {${of.fields.map(words).join(", ")}}`
      : of.kind === "list"
        ? ` [${words(of.item)}]`
        : of.kind === "choice"
          ? ` ${JSON.stringify(of.choices)}`
          : "";
  return `${name}${marks}: ${of.kind}${inner}`;
}

function fieldsOf(properties: object, over: object = {}): string[] {
  const { of } = argumentsField({ type: "object", properties, ...over });
  return of.kind === "group" ? of.fields.map(words) : [of.kind];
}

const KINDS: readonly [schema: object, words: string][] = [
  [{ type: "string" }, "a: text"],
  [{ type: "integer" }, "a: number"],
  [{ type: "number" }, "a: number"],
  [{ type: "boolean" }, "a: flag"],
  [{ enum: ["x", 1, true] }, 'a: choice ["x",1,true]'],
  [{ type: ["string", "null"], enum: ["x", null] }, 'a?: choice ["x"]'],
  [{ const: "x" }, 'a: choice ["x"]'],
  [{ oneOf: [{ const: "x" }, { const: "y" }] }, 'a: choice ["x","y"]'],
  [{ type: "array", items: { type: "string" } }, "a: list [*: text]"],
  [{ type: "object", properties: { b: { type: "boolean" } }, required: ["b"] }, "a: group {b*: flag}"],
  [{ properties: { b: { type: "string" } } }, "a: group {b: text}"],
  // What servers made with pydantic send for each optional argument.
  [{ anyOf: [{ type: "string" }, { type: "null" }], default: null }, "a?: text"],
  [{ type: ["integer", "null"] }, "a?: number"],
  [{ allOf: [{ $ref: "#/$defs/color" }], description: "a color" }, 'a: choice ["red","green"]'],
  [{ $ref: "#/$defs/color" }, 'a: choice ["red","green"]'],
  [{ anyOf: [{ $ref: "#/$defs/color" }, { type: "null" }] }, 'a?: choice ["red","green"]'],
  [{ $ref: "#/$defs/node" }, "a: group {value: text, next: json}"],
  [{ $ref: "#/$defs/loop" }, "a: json"],
  [{ $ref: "#/$defs/missing" }, "a: json"],
  [{ $ref: "https://example.com/schema" }, "a: json"],
  [{ $ref: "#/$defs/%E0%A4%A" }, "a: json"],
  [{ oneOf: [{ type: "string" }, { type: "number" }] }, "a: json"],
  [{ type: ["string", "number"] }, "a: json"],
  [{ type: "object", additionalProperties: { type: "string" } }, "a: json"],
  [{ type: "array", prefixItems: [{ type: "string" }] }, "a: json"],
  [{ type: "array" }, "a: json"],
  [{ type: "object", properties: { b: {} }, patternProperties: {} }, "a: json"],
  [{}, "a: json"],
  [{ enum: Array.from({ length: 201 }, (_, index) => index) }, "a: json"],
];

test("D1 a field's kind follows from its schema; anything that a form cannot express is JSON", () => {
  const $defs = {
    color: { enum: ["red", "green"] },
    node: { type: "object", properties: { value: { type: "string" }, next: { $ref: "#/$defs/node" } } },
    loop: { $ref: "#/$defs/loop" },
  };
  for (const [schema, expected] of KINDS) assert.deepEqual(fieldsOf({ a: schema }, { $defs }), [expected]);
});

test("D1 a tool without arguments has an empty form, and one whose schema is strange is called with JSON", () => {
  for (const schema of [
    { type: "object" },
    { type: "object", properties: {} },
    {},
    { type: "object", additionalProperties: false },
  ]) {
    const { of } = argumentsField(schema);
    if (Object.keys(schema).length === 0) assert.equal(of.kind, "json");
    else assert.deepEqual(of, { kind: "group", fields: [] });
  }
  for (const schema of [null, 3, "x", [], { type: "string" }, { type: "object", anyOf: [] }, { $ref: "#" }])
    assert.equal(argumentsField(schema).of.kind, "json", JSON.stringify(schema));
});

test("D1 huge, deep and hostile schemas are bounded", () => {
  const many = Object.fromEntries(
    Array.from({ length: 5_000 }, (_, index) => [`f${index}`, { type: "string" }]),
  );
  assert.deepEqual(fieldsOf(many), ["json"]);
  let deep: object = { type: "string" };
  for (let level = 0; level < 2_000; level += 1) deep = { type: "object", properties: { in: deep } };
  assert.match(fieldsOf({ deep }).join(), /json/);
  // Each level refers twice to the next one: written out it would be 2^40 fields.
  const $defs = Object.fromEntries(
    Array.from({ length: 40 }, (_, level) => {
      const next = { $ref: `#/$defs/l${level + 1}` };
      return [`l${level}`, { type: "object", properties: { a: next, b: next } }];
    }),
  );
  const wide = argumentsField({ type: "object", properties: { a: { $ref: "#/$defs/l0" } }, $defs });
  assert.ok(words(wide).length < 5_000);
  assert.deepEqual(fieldsOf(JSON.parse('{"__proto__": {"type": "string"}}')), ["__proto__: text"]);
});

test("D1 bounds, defaults and descriptions appear with the field, the nearer ones first", () => {
  const { of } = argumentsField({
    type: "object",
    properties: {
      n: { type: "integer", minimum: 1, exclusiveMaximum: 10, default: 3, title: "Count" },
      old: { type: "number", minimum: 0, exclusiveMinimum: true },
      both: { type: "number", minimum: 5, exclusiveMinimum: 1 },
      ref: { $ref: "#/$defs/d", description: "nearer" },
    },
    $defs: { d: { type: "string", description: "farther", default: "x", minLength: 2, maxLength: 4 } },
  });
  assert.ok(of.kind === "group");
  const [n, old, both, ref] = of.fields;
  assert.deepEqual([n?.byDefault, n?.about], [3, "Count"]);
  assert.deepEqual(n?.of, {
    kind: "number",
    isWhole: true,
    above: { value: 1, isAllowed: true },
    below: { value: 10, isAllowed: false },
  });
  assert.ok(old?.of.kind === "number" && both?.of.kind === "number");
  assert.deepEqual(old.of.above, { value: 0, isAllowed: false });
  assert.deepEqual(both.of.above, { value: 5, isAllowed: true });
  assert.deepEqual([ref?.about, ref?.byDefault], ["nearer", "x"]);
  assert.deepEqual(ref?.of, { kind: "text", least: 2, most: 4 });
});

const SETTINGS = {
  enabled: true,
  poll_interval: 2,
  debounce: 1,
  detection: "mtime",
  on_failure: "backoff",
} as const;

const FORM = sectionForm(configJsonSchema(), "sync", SETTINGS);

test("B9 the form of [sync] has the section's keys and choices, and accepts the same numbers", () => {
  const section = SECTIONS.find(({ name }) => name === "sync");
  assert.ok(section !== undefined);
  assert.deepEqual(FORM.children.map(({ label }) => label).sort(), [...section.keys].sort());
  let compared = 0;
  for (const node of FORM.children) {
    const { of } = node.field;
    if (of.kind === "choice") assert.deepEqual(of.choices, section.keyDoc(node.label).choices);
    if (of.kind !== "number") continue;
    for (const value of [0.01, 0.05, 60, 3600, 0.005, 0.025, 60.06, 3603.6, 30, 1800, 0, -1]) {
      const accepted: boolean = keyFindings(section, node.label, value).length === 0;
      const filled = withValue(node, value);
      assert.equal(filled !== null && mistakeAt(filled) === null, accepted, `${node.label} = ${value}`);
      compared += 1;
    }
  }
  assert.equal(compared, 24);
});

function typedInterval(text: string): FormNode {
  return {
    ...FORM,
    children: FORM.children.map((child) => (child.label === "poll_interval" ? { ...child, text } : child)),
  };
}

test("B9 a number in another notation is not a change, and an invalid number is an error", () => {
  const changed = (text: string) => changedFields(typedInterval(text), SETTINGS).map(({ label }) => label);
  assert.deepEqual(changed("2"), []);
  assert.deepEqual(changed(" 2.00 "), []);
  assert.deepEqual(changed("2x"), ["poll_interval"]);
  assert.deepEqual(changed("3"), ["poll_interval"]);
});

test("B9 an edit contains only the changed keys, as TOML", () => {
  const wanted = { ...SETTINGS, enabled: false, poll_interval: 0.5, detection: "inotify" };
  const edits = sectionEdits("sync", withValue(FORM, wanted) ?? FORM, SETTINGS);
  assert.deepEqual(edits, [
    { key: "sync.enabled", value: "false" },
    { key: "sync.poll_interval", value: "0.5" },
    { key: "sync.detection", value: '"inotify"' },
  ]);
  const asked: Readonly<Record<string, unknown>> = wanted;
  for (const { key, value } of edits)
    assert.deepEqual(parse(`x = ${value}`)["x"], asked[key.replace("sync.", "")]);
});

test("D1 a long list stays JSON, a number is one that JSON can represent, and a default of null is not typed", () => {
  const lists = { type: "object", properties: { a: { type: "array", items: { type: "string" } } } };
  const rawWith = (length: number) =>
    withRaw(createArguments(lists), JSON.stringify({ a: Array(length).fill("") })).raw;
  assert.equal(rawWith(100), null);
  assert.notEqual(rawWith(101), null);
  const [number, text] = argumentsRoot({
    n: { type: "number" },
    t: { type: ["string", "null"], default: null },
  }).children;
  assert.ok(number !== undefined && text !== undefined);
  assert.equal(mistakeAt({ ...number, isSet: true, text: "1e999" }), "a smaller number");
  assert.deepEqual([text.isSet, sentValue(text)], [false, null]);
});

function argumentsRoot(properties: object): FormNode {
  return createArguments({ type: "object", properties, required: Object.keys(properties) }).root;
}
