import assert from "node:assert/strict";
import { it } from "node:test";
import { jsonObject } from "../../../src/runtime/text/json-object.ts";

it("gives an object's members, whatever they are called", () => {
  assert.deepEqual(jsonObject('{"a":1,"b":null,"c":[{}]}\n'), { a: 1, b: null, c: [{}] });
  assert.deepEqual(jsonObject("{}"), {});
  assert.deepEqual(Object.entries(jsonObject('{"__proto__":1}') ?? {}), [["__proto__", 1]]);
});

for (const text of ["", "{", '{"a":1', '{"a":1} more', "null", "1", '"{}"', "[]", '[{"a":1}]']) {
  it(`takes ${JSON.stringify(text)} for no object`, () => assert.equal(jsonObject(text), null));
}
