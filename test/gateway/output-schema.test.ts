// Outputs that are no objects, for clients that take nothing else.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isWrapped, wrapContent, wrapSchema } from "../../src/gateway/output-schema.ts";

describe("D2 an output that is no object", () => {
  it("is its `result`; an object stays as it is", () => {
    assert.equal(isWrapped({ type: "object" }), false);
    assert.equal(isWrapped(undefined), false);
    assert.equal(isWrapped({ type: "array" }), true);
    assert.equal(isWrapped({ anyOf: [] }), true);
    assert.deepEqual(wrapContent([1], { type: "array" }), { result: [1] });
    assert.deepEqual(wrapContent({ a: 1 }, { anyOf: [] }), { result: { a: 1 } });
    assert.deepEqual(wrapContent("x", undefined), { result: "x" });
    assert.deepEqual(wrapContent({ a: 1 }, { type: "object" }), { a: 1 });
    assert.deepEqual(wrapContent({ a: 1 }, undefined), { a: 1 });
    assert.equal(wrapContent(undefined, { type: "array" }), undefined);
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
    assert.deepEqual(wrapSchema(schema), {
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
