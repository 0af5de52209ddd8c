// What find_tool shows of tools whose schemas are huge: their arguments' names, and no work for the rest.
import assert from "node:assert/strict";
import { test } from "node:test";
import { foundText } from "../../../src/gateway/optimizer/own-tools.ts";

function toolWith(count: number, description: string) {
  const names = Array.from({ length: count }, (_, index) => `arg${index}`);
  const properties = Object.fromEntries(names.map((name) => [name, { type: "string", description }]));
  return { name: "big", description: "big", inputSchema: { type: "object", properties } };
}

test("D4 a large schema is shown without its texts, and of a huge one the arguments' names alone", () => {
  const [large] = JSON.parse(foundText([toolWith(50, "x".repeat(500))], "big", 1)).tools;
  assert.equal(Object.keys(large.inputSchema.properties).length, 50);
  assert.equal(large.inputSchema.properties.arg0.description, undefined);
  const [huge] = JSON.parse(foundText([toolWith(50, "x".repeat(5_000))], "big", 1)).tools;
  assert.equal(huge.inputSchema, undefined);
  assert.match(huge.note, /^takes arg0, arg1, .* arg39$/);
});

test("E4 the JSON of a huge schema is made once, however often it is found", () => {
  let made = 0;
  const tool = toolWith(50, "x".repeat(5_000));
  const counted = Object.assign(tool.inputSchema, {
    toJSON: () => {
      made += 1;
      return "x".repeat(100_000);
    },
  });
  const all = [{ ...tool, inputSchema: counted }];
  for (let count = 0; count < 3; count++) foundText(all, "big", 1);
  assert.equal(made, 1);
});
