// A tool's schemas as TypeScript: what servers really write, and what a hostile one may.
import assert from "node:assert/strict";
import { stripTypeScriptTypes } from "node:module";
import { test } from "node:test";
import type { JsonObject } from "../../../src/gateway/json-rpc.ts";
import { declarationOf } from "../../../src/gateway/scripts/declarations.ts";

const STRING = { type: "string" };

/** By a schema: its type. */
const TYPES: readonly (readonly [title: string, schema: JsonObject, type: string])[] = [
  ["no members", {}, "Record<string, unknown>"],
  [
    "members, needed and not, with their descriptions on one line",
    {
      properties: { a: { ...STRING, description: "one\n  two */ three" }, "b-c": { type: "integer" } },
      required: ["a"],
    },
    '{ /** one two * / three */ a: string; "b-c"?: number }',
  ],
  ["a choice", { properties: { a: { enum: ["x", 1, null] } } }, '{ a?: "x" | 1 | null }'],
  ["null among types", { properties: { a: { type: ["string", "null"] } } }, "{ a?: string | null }"],
  ["a list", { properties: { a: { type: "array", items: STRING } } }, "{ a?: Array<string> }"],
  // As pydantic writes models: cloudflare/agents#2181, openai/codex#31901.
  [
    "a definition, with what stands beside it",
    {
      $ref: "#/$defs/In~1put",
      $defs: { "In/put": { type: "object", properties: { query: STRING } } },
      properties: { label: STRING },
      required: ["label"],
    },
    "{ query?: string } & { label: string }",
  ],
  [
    "a list of definitions that may be null",
    {
      properties: { a: { type: "array", items: { anyOf: [{ $ref: "#/definitions/b" }, { type: "null" }] } } },
      definitions: { b: STRING },
    },
    "{ a?: Array<string | null> }",
  ],
  [
    "all of several",
    { properties: { a: { allOf: [{ anyOf: [STRING, { type: "null" }] }, { minLength: 1 }] } } },
    "{ a?: string | null }",
  ],
  ["a definition that is not there", { properties: { a: { $ref: "#/$defs/none" } } }, "{ a?: unknown }"],
  ["one from elsewhere", { properties: { a: { $ref: "https://example.com/a" } } }, "{ a?: unknown }"],
  ["one of a prototype", { properties: { a: { $ref: "#/constructor" } } }, "{ a?: unknown }"],
];

test("a schema is printed as a type", () => {
  for (const [title, inputSchema, type] of TYPES) {
    const args = "required" in inputSchema ? "args" : "args?";
    const expected = `tools["t"](${args}: ${type}): Promise<unknown>`;
    assert.equal(declarationOf({ name: "t", inputSchema }), expected, title);
    // TypeScript takes it.
    stripTypeScriptTypes(`type T = ${type};`);
  }
  const outputSchema = { type: "object", properties: { n: { type: "number" } }, required: ["n"] };
  assert.equal(
    declarationOf({ name: 'a"b', outputSchema }),
    'tools["a\\"b"](args?: Record<string, unknown>): Promise<{ n: number }>',
  );
});

test("a schema that refers to itself, or has very many parts, is printed within bounds", () => {
  const members = Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`m${at}`, { $ref: "#" }]));
  const begun = performance.now();
  const declaration = declarationOf({ name: "t", inputSchema: { type: "object", properties: members } });
  assert.ok(performance.now() - begun < 1_000);
  assert.ok(declaration.length < 100_000, `${declaration.length}`);
  const many = { type: Array.from({ length: 2_000 }, () => "object"), properties: { a: { $ref: "#" } } };
  assert.ok(declarationOf({ name: "t", inputSchema: many, outputSchema: many }).length < 100_000);
  assert.ok(performance.now() - begun < 1_000);
  const large = { type: "object", properties: { a: { description: "x".repeat(70_000) } } };
  assert.equal(
    declarationOf({ name: "t", inputSchema: large }),
    'tools["t"](args?: unknown): Promise<unknown>',
  );
});
