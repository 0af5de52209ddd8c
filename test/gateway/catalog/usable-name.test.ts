import assert from "node:assert/strict";
import { test } from "node:test";
import { usableName } from "../../../src/gateway/catalog/names.ts";
import { fc } from "../../support/properties.ts";

test("D3 a name that every client can use stays as it is", () => {
  for (const name of ["read", "fs.read-file_2", "x".repeat(46)]) assert.equal(usableName(name, 46), name);
});

test("D3 another is cut, and ends in a hash of the whole name", () => {
  const long = "x".repeat(47);
  assert.equal(usableName(long, 46), `${"x".repeat(37)}_b35f3728`);
  assert.equal(usableName("read file", 46), "read_file_1214148e");
  assert.notEqual(usableName("read/file", 46), usableName("read file", 46));
  assert.match(usableName("", 46), /^_[0-9a-f]{8}$/u);
  assert.match(usableName("文件", 46), /^___[0-9a-f]{8}$/u);
});

test("D3 whatever the name, what is published has a length and characters that clients allow, and is usable itself", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: "binary", maxLength: 200 }),
      fc.integer({ min: 24, max: 128 }),
      (name, longest) => {
        const used = usableName(name, longest);
        assert.match(used, /^[A-Za-z0-9_.-]+$/u);
        assert.ok(used.length <= longest);
        assert.equal(usableName(used, longest), used);
      },
    ),
  );
});
