// The rules for schemas, beside what the official SDK's compiler says of the same schemas.
import assert from "node:assert/strict";
import { test } from "node:test";
import { AjvJsonSchemaValidator } from "@modelcontextprotocol/sdk/validation/ajv-provider.js";

import { faultsOf, judgeTool, soundTool } from "../../../src/gateway/catalog/schema-faults.ts";
import type { JsonObject } from "../../../src/gateway/json-rpc.ts";
import { fc, runsOf } from "../../support/properties.ts";
import { catalogOf, source } from "./sources.ts";

function withSoundSchemas(tool: JsonObject) {
  const verdict = judgeTool(tool);
  return { tool: soundTool(tool, verdict), faults: verdict.faults };
}

/** As a client does it for each tool that it lists. */
function compiles(schema: JsonObject): boolean {
  try {
    new AjvJsonSchemaValidator().getValidator(schema);
    return true;
  } catch {
    return false;
  }
}

// What reports name, and what is like it. [schema, whether a compiler takes it]
const ROWS: readonly (readonly [JsonObject, boolean])[] = [
  [{ type: "object", properties: { s: { $ref: "#/$defs/ScreenInstance" } } }, false],
  [{ properties: { s: { $ref: "https://example.com/schema.json#/definitions/A" } } }, false],
  [{ properties: { n: { type: "number", minimum: 0, exclusiveMinimum: true } } }, false],
  [{ properties: { n: { type: "string", pattern: "(?i)^abc$" } } }, false],
  [{ properties: { n: { type: "int" } } }, false],
  [{ properties: { n: { nullable: true } } }, false],
  [{ $id: "urn:x", type: "object" }, false],
  [{ $id: "urn:example:x", type: "object" }, true],
  [{ $schema: "http://json-schema.org/draft-04/schema#", id: "x" }, false],
  [{ properties: { n: { type: "integer", format: "uint64" } } }, true],
  [{ properties: { coin: { type: "string" }, required: ["coin"] } }, true],
  [{ properties: { a: { type: "string", required: true } } }, false],
  [{ properties: null }, false],
  [{ properties: [] }, false],
  [{ type: ["object", "null"], nullable: true }, true],
  [{ enum: [] }, false],
  [{ $defs: { Node: { properties: { next: { $ref: "#/$defs/Node" } } } }, $ref: "#/$defs/Node" }, true],
  [{ properties: { a: { $ref: "#/properties/a" } } }, false],
  [{ definitions: { unused: { pattern: "(" } } }, true],
  [{ definitions: { used: { pattern: "(" } }, $ref: "#/definitions/used" }, false],
  [{ properties: { "a/b": { type: "string" }, c: { $ref: "#/properties/a~1b" } } }, true],
  [{ anyOf: [{ type: "object" }, { type: "null" }], items: [{ type: "x" }] }, false],
  [{ properties: { a: { $async: true, type: "string" } } }, false],
  [{ properties: { a: { $anchor: "#a" } } }, false],
  [{ properties: { a: { $dynamicAnchor: "" } } }, false],
  [{ properties: { a: { $anchor: "a" } } }, true],
  [{ properties: { a: { additionalItems: [{}] } } }, false],
  [{ properties: { a: { items: [{}], additionalItems: false } } }, true],
  [{ dependencies: { a: [{ toString: "x" }] } }, false],
  // References by name.
  [{ properties: { at: { $ref: "#point" } }, $defs: { Point: { $anchor: "point", type: "object" } } }, true],
  [{ properties: { at: { $ref: "#other" } }, $defs: { Point: { $anchor: "point", type: "object" } } }, false],
  [{ properties: { at: { $ref: "Point" } }, $defs: { Point: { $id: "Point", type: "object" } } }, true],
  [{ properties: { at: { $ref: "Line" } }, $defs: { Point: { $id: "Point", type: "object" } } }, false],
  [
    {
      $defs: {
        Point: { $id: "Point", type: "object" },
        Line: { $id: "Line", properties: { from: { $ref: "Point" } } },
      },
      $ref: "Line",
    },
    true,
  ],
  [
    {
      properties: { at: { $ref: "https://example.com/point" } },
      $defs: { a: { $id: "https://example.com/point", type: "object" } },
    },
    true,
  ],
  [{ properties: { a: { $id: "x", type: "string" }, b: { $id: "x", type: "number" } } }, false],
];

test("D3 D9 a schema that no client can compile is found, and no other", () => {
  for (const [schema, isSound] of ROWS) {
    assert.equal(compiles(schema), isSound, JSON.stringify(schema));
    assert.equal(faultsOf(schema).length === 0, isSound, JSON.stringify(schema));
  }
});

test("D3 D9 a tool keeps its name and its sound keywords: a bad output schema is dropped, of an input only the bad parts", () => {
  const inputSchema = {
    type: "object",
    properties: { n: { type: "int", description: "a number" }, p: { type: "string", pattern: "(?i)x" } },
    required: ["n"],
  };
  const outputSchema = { type: "object", properties: { s: { $ref: "#/$defs/No" } } };
  const { tool, faults } = withSoundSchemas({ name: "x", inputSchema, outputSchema });
  assert.deepEqual(tool, {
    name: "x",
    inputSchema: {
      type: "object",
      properties: { n: { description: "a number" }, p: { type: "string" } },
      required: ["n"],
    },
  });
  assert.deepEqual(faults, [
    'outputSchema is left out: $ref "#/$defs/No" leads nowhere (in properties.s)',
    "left out of inputSchema: type is not valid (in properties.n)",
    "left out of inputSchema: pattern is not valid, or longer than 1000 characters (in properties.p)",
  ]);
  const sound = { name: "y", inputSchema: { type: "object" } };
  assert.equal(withSoundSchemas(sound).tool, sound);
});

test("D3 D9 all entries that a client on the official SDK lists compile together, whatever each server means by an $id", () => {
  const backends = ["a", "b", "c"].map((backend, index) => {
    const given = source(backend, { tools: [`${backend}_tool`, `${backend}_bad`] });
    const schema = { $id: "https://example.com/result", type: "object", maxProperties: Math.min(index, 1) };
    const tools = given.listings.tools.map((tool, at) => ({
      ...tool,
      outputSchema: at === 0 ? schema : { type: "x" },
    }));
    return { ...given, listings: { ...given.listings, tools } };
  });
  const { tools } = catalogOf(...backends);
  const outputs = [...tools.values()].map(({ name, definition: { outputSchema } }) => [name, outputSchema]);
  assert.deepEqual(
    outputs.filter(([, schema]) => schema !== undefined).map(([name]) => name),
    ["a_tool"],
  );
  assert.equal(tools.size, 6);
});

test("D3 E4 a schema of very many faults, or of references in a long chain, causes no delay", () => {
  const bad = Object.fromEntries(Array.from({ length: 200_000 }, (_, index) => [`p${index}`, { type: "x" }]));
  const { tool, faults } = withSoundSchemas({ name: "x", inputSchema: { type: "object", properties: bad } });
  assert.deepEqual([tool["inputSchema"], faults.length], [{ type: "object" }, 100]);
  const chain = Object.fromEntries(
    Array.from({ length: 20_000 }, (_, index) => [`p${index}`, { $ref: `#/$defs/p${index + 1}` }]),
  );
  assert.ok(faultsOf({ $defs: chain, $ref: "#/$defs/p0" }).length > 0);
  const links = Object.entries(chain).map(([name, link]) => [name, { properties: { next: link } }]);
  const deep = { $defs: Object.fromEntries(links), $ref: "#/$defs/p0" };
  assert.equal(compiles({ ...deep, $defs: { ...deep.$defs, p20000: {} } }), false);
  assert.match(faultsOf({ ...deep, $defs: { ...deep.$defs, p20000: {} } })[0]?.reason ?? "", /too deep/);
});

test("D3 E4 a tool whose schema has very many addresses is withheld before they are read", () => {
  const withIds = (count: number): JsonObject => ({
    type: "object",
    properties: Object.fromEntries(
      Array.from({ length: count }, (_, at) => [
        `p${at}`,
        { $id: `http://a/${at}`, $ref: `http://a/${at}#/not` },
      ]),
    ),
  });
  assert.match(judgeTool({ inputSchema: withIds(1_001) }).withheld ?? "", /more than 1000 addresses/);
  assert.equal(judgeTool({ inputSchema: withIds(900) }).withheld, null);
});

test("D3 E4 references that share a long path and a chain are read once", () => {
  const far = Array.from({ length: 400 }, () => "a");
  const path = `#/${far.join("/")}`;
  const links = Array.from({ length: 90 }, (_, index) => [`l${index}`, { $ref: `${path}/l${index + 1}` }]);
  const last: JsonObject = { ...Object.fromEntries(links), l90: { type: "string" } };
  const inner = far.reduceRight<JsonObject>((within, key) => ({ [key]: within }), last);
  const many = Object.fromEntries(
    Array.from({ length: 1_000 }, (_, index) => [`p${index}`, { $ref: `${path}/l0` }]),
  );
  const before = performance.now();
  assert.deepEqual(faultsOf({ ...inner, properties: many }), []);
  assert.ok(performance.now() - before < 5_000);
});

const WORDS = ["object", "int", "string", "(", "^a$", "x", "#", "#/$defs/A", "#/properties/a", "date"];
const leaf = fc.oneof(
  fc.constantFrom<unknown>(null, true, false, 0, -1, 1.5, [], {}, [1], ["a"], ["string"], ["null"], ...WORDS),
);
const KEYWORDS = [
  ...["type", "nullable", "enum", "required", "pattern", "format", "minimum", "exclusiveMinimum", "maxItems"],
  ...["uniqueItems", "$ref", "const", "description", "default", "formatMinimum", "additionalProperties", "x"],
];
const { schema } = fc.letrec<{ schema: JsonObject; part: unknown }>((tie) => ({
  part: fc.oneof({ weight: 1, arbitrary: leaf }, { weight: 2, arbitrary: tie("schema") }),
  schema: fc
    .tuple(
      fc.dictionary(fc.constantFrom(...KEYWORDS), leaf, { maxKeys: 2 }),
      fc.dictionary(
        fc.constantFrom("properties", "$defs", "dependencies"),
        fc.dictionary(fc.constantFrom("a", "A"), tie("part"), { maxKeys: 2 }),
        { maxKeys: 2 },
      ),
      fc.dictionary(fc.constantFrom("items", "not", "additionalProperties", "if", "contains"), tie("part"), {
        maxKeys: 1,
      }),
      fc.dictionary(fc.constantFrom("anyOf", "items", "allOf"), fc.array(tie("part"), { maxLength: 2 }), {
        maxKeys: 1,
      }),
    )
    .map((parts) => Object.assign({}, ...parts)),
}));

test("D3 D9 a schema called sound compiles, and so does the remainder of any other input schema", () => {
  fc.assert(
    fc.property(schema, (given) => {
      const found = faultsOf(given);
      if (found.length === 0) assert.ok(compiles(given), JSON.stringify(given));
      const { tool } = withSoundSchemas({ name: "x", inputSchema: given });
      assert.ok(
        compiles(tool["inputSchema"] as JsonObject),
        `${JSON.stringify(given)} → ${JSON.stringify(tool)}`,
      );
    }),
    { numRuns: runsOf(4_000) },
  );
});
