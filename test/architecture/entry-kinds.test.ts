// Every key of the configuration says what it decides, so that none that runs something applies unapproved by mistake.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CLASSIFIED_SECTIONS, kindOfKey } from "../../src/config/approval/entry-kinds.ts";
import { SECTIONS } from "../../src/config/schema/schema.ts";

test("E2 each key of the schema has a row in the table of what needs approval", () => {
  const unclassified = SECTIONS.flatMap(({ pattern, keys, isOpen }) =>
    (isOpen ? ["any"] : keys)
      .filter((key) => kindOfKey(pattern, key) === null)
      .map((key) => `${pattern.join(".")}.${key}: add it to src/config/approval/entry-kinds.ts`),
  );
  assert.deepEqual(unclassified, []);
});

test("E2 the table of what needs approval has no section that the schema lacks", () => {
  const known = new Set(SECTIONS.map(({ pattern }) => pattern.join(".")));
  assert.deepEqual(
    CLASSIFIED_SECTIONS.filter((section) => !known.has(section)),
    [],
  );
});
