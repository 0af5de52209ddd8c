import assert from "node:assert/strict";
import { test } from "node:test";
import { argumentsField, type SchemaField } from "../../../src/api/forms/schema-fields.ts";

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

test("D1 a field's kind follows from its schema; what a form cannot say is JSON", () => {
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

test("D1 bounds, defaults and descriptions come with the field, the nearer ones first", () => {
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
