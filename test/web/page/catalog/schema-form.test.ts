import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type Draft,
  type FormField,
  filledFrom,
  formOf,
} from "../../../../src/web/page/catalog/schema-form.ts";

function fieldAt(form: FormField, label: string): FormField {
  assert.equal(form.kind, "group");
  const found = form.kind === "group" ? form.fields.find((field) => field.label === label) : undefined;
  assert.ok(found, `no field ${label}`);
  return found;
}

const oneProperty = (schema: unknown, required = false): FormField =>
  fieldAt(
    formOf({ type: "object", properties: { x: schema }, ...(required ? { required: ["x"] } : {}) }),
    "x",
  );

test("F2 each kind of schema becomes a field that fits it", () => {
  const kinds: readonly (readonly [unknown, FormField["kind"]])[] = [
    [{ type: "string" }, "text"],
    [{ type: "integer", minimum: 1 }, "number"],
    [{ type: "number" }, "number"],
    [{ type: "boolean" }, "flag"],
    [{ enum: ["a", "b", 3, null] }, "choice"],
    [{ const: "only" }, "choice"],
    [{ type: "object", properties: { y: { type: "string" } } }, "group"],
    [{ type: "array", items: { type: "string" } }, "list"],
    [{ type: ["string", "null"] }, "text"],
    [{ anyOf: [{ type: "integer" }, { type: "null" }] }, "number"],
    [{ $ref: "#/properties/y" }, "json"],
    [{ oneOf: [{ type: "string" }, { type: "number" }] }, "json"],
    [{ allOf: [{ type: "string" }] }, "json"],
    [{ type: "object", additionalProperties: { type: "string" } }, "json"],
    [{ type: "array", prefixItems: [{ type: "string" }] }, "json"],
    [{ type: "array" }, "json"],
    [{ enum: Array.from({ length: 500 }, (_, index) => index) }, "json"],
    [{ $ref: "https://example.org/schema" }, "json"],
    [{}, "json"],
    [true, "json"],
    [false, "json"],
  ];
  for (const [schema, kind] of kinds) assert.equal(oneProperty(schema).kind, kind, JSON.stringify(schema));
});

test("a reference inside of the schema is followed, and one that leads to itself ends", () => {
  const form = formOf({
    type: "object",
    $defs: { level: { enum: ["low", "high"] }, loop: { $ref: "#/$defs/loop" } },
    properties: { level: { $ref: "#/$defs/level", description: "how much" }, loop: { $ref: "#/$defs/loop" } },
  });
  const level = fieldAt(form, "level");
  assert.equal(level.kind, "choice");
  assert.equal(level.description, "how much");
  assert.equal(fieldAt(form, "loop").kind, "json");
});

test("a schema that is too large, or nests without end, is bounded", () => {
  const many = Object.fromEntries(
    Array.from({ length: 5000 }, (_, index) => [`p${index}`, { type: "string" }]),
  );
  assert.equal(formOf({ type: "object", properties: many }).kind, "json");
  const tree = { type: "object", properties: { left: { $ref: "#" }, right: { $ref: "#" } } };
  const count = (field: FormField): number =>
    field.kind === "group" ? field.fields.reduce((sum, inner) => sum + count(inner), 1) : 1;
  assert.ok(count(formOf(tree)) <= 121);
});

test("F2 what is typed becomes arguments of the right types, and what is left alone is left out", () => {
  const form = formOf({
    type: "object",
    required: ["path", "depth"],
    properties: {
      path: { type: "string" },
      depth: { type: "integer", minimum: 1, maximum: 9 },
      all: { type: "boolean" },
      sort: { enum: ["name", "size"] },
      tags: { type: "array", items: { type: "string" } },
      filter: {
        type: "object",
        required: ["min"],
        properties: { min: { type: "number" }, "a.b": { type: "string" } },
      },
      extra: {},
    },
  });
  const typed: Draft = { path: "/x", depth: "3" };
  assert.deepEqual(filledFrom(form, typed), { value: { path: "/x", depth: 3 }, mistakes: [] });
  assert.deepEqual(
    filledFrom(form, {
      ...typed,
      all: "false",
      sort: '"size"',
      tags: "2",
      "tags.0": "one",
      "tags.1": "two",
      "filter.min": "0.5",
      "filter.a~1b": "dotted",
      extra: '{"k":[1]}',
    }),
    {
      value: {
        path: "/x",
        depth: 3,
        all: false,
        sort: "size",
        tags: ["one", "two"],
        filter: { min: 0.5, "a.b": "dotted" },
        extra: { k: [1] },
      },
      mistakes: [],
    },
  );
});

test("each mistake names its field", () => {
  const form = formOf({
    type: "object",
    required: ["n", "c"],
    properties: {
      n: { type: "integer", minimum: 1, maximum: 9 },
      c: { enum: ["a"] },
      j: {},
      p: { type: "string", pattern: "^a+$" },
      g: { type: "object", required: ["m"], properties: { m: { type: "number" }, t: { type: "string" } } },
    },
  });
  const texts = (draft: Draft): Record<string, string> =>
    Object.fromEntries(filledFrom(form, draft).mistakes.map(({ path, text }) => [path, text]));
  assert.deepEqual(texts({}), { n: "needs a number", c: "choose one" });
  assert.deepEqual(texts({ n: "1.5", c: '"a"', j: "{", p: "b", "g.t": "x" }), {
    n: "must be a whole number",
    j: "is not JSON",
    p: "does not have the form ^a+$",
    "g.m": "needs a number",
  });
  assert.deepEqual(texts({ n: "10", c: '"a"' }), { n: "must be at most 9" });
});

test("a choice that a changed schema no longer has is a mistake, and never another one's", () => {
  const typed = { c: '"b"' };
  const choiceOf = (...choices: unknown[]) =>
    filledFrom(formOf({ type: "object", properties: { c: { enum: choices } } }), typed);
  assert.deepEqual(choiceOf("a", "b").value, { c: "b" });
  assert.deepEqual(choiceOf("new", "a", "b").value, { c: "b" });
  assert.deepEqual(choiceOf("a", "c").mistakes, [{ path: "c", text: "choose one of those there are" }]);
});

test("any schema at all makes a form, and its empty draft a value or mistakes", () => {
  fc.assert(
    fc.property(
      fc.dictionary(
        fc.constantFrom("type", "properties", "items", "enum", "anyOf", "$ref", "x"),
        fc.jsonValue(),
      ),
      (schema) => {
        const { mistakes } = filledFrom(formOf(schema as Record<string, unknown>), {});
        assert.ok(Array.isArray(mistakes));
      },
    ),
  );
});
