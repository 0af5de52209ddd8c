import assert from "node:assert/strict";
import test from "node:test";
import { askedEdit } from "../../../src/config/edit/asked-edit.ts";

test("a key and a value are read as people type them", () => {
  assert.deepEqual(askedEdit({ key: "lsof-recheck", value: "off" }), {
    kind: "set",
    keyPath: ["global", "lsof_recheck"],
    value: false,
  });
  assert.deepEqual(askedEdit({ key: "aliases.docs.path", value: null }), {
    kind: "unset",
    keyPath: ["aliases", "docs", "path"],
  });
  assert.throws(() => askedEdit({ key: "nothing.of.it", value: "x" }), { code: "config_key_unknown" });
});

test("blocks of lists are added with their keys, and removed by their names", () => {
  const entry = { name: "a" };
  assert.deepEqual(askedEdit({ add: "shares", entry }), { kind: "add-share", share: entry });
  assert.deepEqual(askedEdit({ add: "aliases", entry }), { kind: "add-alias", alias: entry });
  assert.deepEqual(askedEdit({ remove: "shares", name: "a" }), { kind: "remove-share", name: "a" });
  assert.deepEqual(askedEdit({ remove: "aliases", name: "a" }), { kind: "remove-alias", name: "a" });
});
