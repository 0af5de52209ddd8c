import assert from "node:assert/strict";
import { test } from "node:test";
import { createHurry } from "../../../src/shares/engine/hurry.ts";

const CALM = { phase: "carrying", route: "tb", inDoubt: false } as const;

test("A10 in calm no host is hurried, in doubt only the one in use", () => {
  const hurry = createHurry();
  assert.deepEqual(hurry(CALM), {});
  assert.deepEqual(hurry({ ...CALM, inDoubt: true }), { tb: 300 });
  assert.deepEqual(hurry({ phase: null, route: null, inDoubt: true }), {});
});

test("A10 while programs wait both hosts are hurried, and those that are slow get a chance now and then", () => {
  const hurry = createHurry();
  const looks = Array.from({ length: 8 }, () => hurry({ ...CALM, phase: "waiting" }));
  assert.deepEqual(
    looks.map(({ tb }) => tb),
    [300, 300, 300, 1000, 300, 300, 300, 1000],
  );
  assert.ok(looks.every(({ tb, fallback }) => tb === fallback));
  assert.deepEqual(hurry({ ...CALM, phase: "refusing" }), {}, "their patience is over");
});
