// Outputs that are no objects, for clients that take nothing else.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isWrapped, legacyOutputSchema, legacyToolResult } from "../../src/gateway/legacy-output.ts";

describe("D2 an output that is no object", () => {
  it("is its `result`; an object stays as it is", () => {
    assert.equal(isWrapped({ type: "object" }), false);
    assert.equal(isWrapped(undefined), false);
    assert.equal(isWrapped({ type: "array" }), true);
    assert.equal(isWrapped({ anyOf: [] }), true);
    const structured = (value: unknown, wraps: boolean): unknown =>
      legacyToolResult({ content: [], structuredContent: value }, wraps)["structuredContent"];
    assert.deepEqual(structured([1], true), { result: [1] });
    assert.deepEqual(structured({ a: 1 }, true), { result: { a: 1 } });
    assert.deepEqual(structured("x", false), { result: "x" });
    assert.deepEqual(structured(null, false), { result: null });
    assert.deepEqual(structured({ a: 1 }, false), { a: 1 });
    assert.deepEqual(legacyToolResult({ content: [] }, true), { content: [] });
  });

  it("its schema's references lead to the same places, and data stays data", () => {
    const schema = {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      type: "array",
      items: { $ref: "#/$defs/node" },
      default: { $ref: "#/no/reference" },
      $defs: {
        node: { properties: { $ref: { $ref: "#" }, next: { $ref: "https://example.org/other#/a" } } },
        own: { $id: "urn:own", $ref: "#/$defs/inner" },
      },
      enum: [{ $ref: "#" }],
    };
    assert.deepEqual(legacyOutputSchema(schema), {
      $schema: schema.$schema,
      type: "object",
      required: ["result"],
      properties: {
        result: {
          type: "array",
          items: { $ref: "#/properties/result/$defs/node" },
          default: { $ref: "#/no/reference" },
          $defs: {
            node: {
              properties: {
                $ref: { $ref: "#/properties/result" },
                next: { $ref: "https://example.org/other#/a" },
              },
            },
            own: { $id: "urn:own", $ref: "#/$defs/inner" },
          },
          enum: [{ $ref: "#" }],
        },
      },
    });
  });
});
