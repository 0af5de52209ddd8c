import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { test } from "node:test";
import { isJsonObject, type JsonObject } from "../../../src/gateway/json-rpc.ts";
import {
  entryDigest,
  entryPin,
  isAsEarlierVersionsSaw,
  ListDigests,
  memberChanges,
  pinOf,
} from "../../../src/gateway/pins/pinned-entry.ts";
import { shortDiff, shownName } from "../../../src/gateway/pins/short-diff.ts";
import { parseExactly } from "../../../src/runtime/text/exact-json.ts";
import { fc } from "../../support/properties.ts";
import { skill } from "../catalog/sources.ts";
import { tool } from "./tools.ts";

/** The same value with the keys of every object in another order. */
function shuffled(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shuffled);
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([key, part]) => [key, shuffled(part)]),
  );
}

function parsed(text: string): JsonObject {
  const value = parseExactly(text);
  assert.ok(isJsonObject(value));
  return value;
}

test("E3 a tool has one digest, however its keys are ordered at whatever depth", () => {
  const schema = fc.jsonValue({ maxDepth: 4 }).map((extra) => ({ type: "object", extra, a: { z: 1, b: 2 } }));
  fc.assert(
    fc.property(schema, (inputSchema) => {
      const one = tool("read", { inputSchema, annotations: { readOnlyHint: true, title: "Read" } });
      const other = shuffled(one);
      assert.ok(isJsonObject(other));
      assert.equal(entryDigest(other), entryDigest(one));
      assert.deepEqual(memberChanges(entryPin(one).text, other), []);
    }),
  );
});

test("E3 a change of any member, known or not, changes the digest, and is the only one told", () => {
  const before = tool("read", { title: "Read", outputSchema: { type: "object" }, annotations: {} });
  const members = ["name", "title", "description", "inputSchema", "outputSchema", "annotations"];
  for (const member of [...members, "_meta", "icons", "execution", "x-acme"]) {
    const value = /Schema$|^annotations$/.test(member) ? { type: "object", x: 1 } : "other";
    const after = { ...before, [member]: value };
    assert.notEqual(entryDigest(after), entryDigest(before));
    const changes = memberChanges(entryPin(before).text, after);
    assert.deepEqual(
      changes.map((change) => change.member),
      [member],
    );
  }
});

test("E3 a skill is pinned by its frontmatter and its files", () => {
  const before = skill("git", "Works with git.");
  const pin = pinOf("skill", before);
  assert.equal(pinOf("skill", before), pin);
  assert.equal(entryDigest(pin), entryDigest(pinOf("skill", skill("git", "Works with git."))));
  const changed = [
    [skill("git", "Works with git, and mails it."), "frontmatter"],
    [skill("git", "Works with git.", ["a.md", "b.md"]), "resources"],
  ] as const;
  for (const [after, member] of changed) {
    assert.notEqual(entryDigest(pinOf("skill", after)), entryDigest(pin));
    assert.deepEqual(
      memberChanges(entryPin(pin).text, pinOf("skill", after)).map((change) => change.member),
      [member],
    );
  }
  const digests = new ListDigests();
  digests.begin();
  assert.notEqual(digests.of(pin), digests.of(pinOf("skill", changed[0][0])));
});

test("D5 a tool is the same in the lists of either version of MCP", () => {
  const modern = tool("read", { title: "Read" });
  assert.equal(entryDigest({ ...modern, execution: { taskSupport: "forbidden" } }), entryDigest(modern));
  assert.notEqual(entryDigest({ ...modern, execution: { taskSupport: "optional" } }), entryDigest(modern));
});

test("E3 what an earlier version remembered holds for what it covered, and only until the whole is remembered", () => {
  const seen = tool("read", { title: "Read" });
  // As versions before wrote it: name, title, description, schemas and annotations alone.
  const { name, title, description, inputSchema } = seen;
  const earlier = hash("sha256", JSON.stringify({ name, title, description, inputSchema }), "base64url");
  const withMore = { ...seen, _meta: { "ui.resourceUri": "ui://a" }, icons: [] };
  assert.equal(isAsEarlierVersionsSaw(withMore, [earlier]), true);
  assert.equal(isAsEarlierVersionsSaw({ ...withMore, description: "Other." }, [earlier]), false);
  assert.equal(isAsEarlierVersionsSaw(withMore, []), false);
  const whole = entryDigest(withMore);
  assert.equal(isAsEarlierVersionsSaw({ ...withMore, icons: [1] }, [whole, earlier]), false);
});

test("E3 numbers count with all their digits, and odd keys like any other", () => {
  const withDefault = (text: string): JsonObject =>
    parsed(`{"name":"a","inputSchema":{"type":"object","default":${text}}}`);
  assert.notEqual(
    entryDigest(withDefault("12345678901234567890")),
    entryDigest(withDefault("12345678901234567891")),
  );
  assert.notEqual(entryDigest(withDefault('{"__proto__":1}')), entryDigest(withDefault('{"__proto__":2}')));
  assert.notEqual(entryDigest(withDefault("{}")), entryDigest(withDefault('{"__proto__":1}')));
});

test("E3 the short form shows what differs with a little around it, and nothing that drives a terminal", () => {
  const before = tool("read", { description: `${"Reads a file. ".repeat(40)}At most 5 MB.` });
  const after = tool("read", {
    description: `${"Reads a file. ".repeat(40)}At most 9 MB.\u001b[31m`,
    title: "New\u202e",
  });
  assert.deepEqual(shortDiff(memberChanges(entryPin(before).text, after)), [
    "+ title: New\\u{202e}",
    "- description: …a file. Reads a file. At most 5 MB.",
    "+ description: …a file. Reads a file. At most 9 MB.\\x1b[31m",
  ]);
  const long = tool("read", { description: "x".repeat(100_000) });
  for (const line of shortDiff(memberChanges(entryPin(before).text, long))) assert.ok(line.length < 500);
  assert.equal(shownName("a\u200bb"), "a\\u{200b}b");
  assert.equal(shownName("x".repeat(5_000)).length, 101);
});

test("E3 a list that is read again has the same digests, whatever else was listed meanwhile", () => {
  const version = fc.record({ name: fc.constantFrom("a", "b"), description: fc.constantFrom("1", "2") });
  fc.assert(
    fc.property(fc.array(fc.array(version, { maxLength: 4 }), { maxLength: 6 }), (lists) => {
      const digests = new ListDigests();
      for (const list of lists) {
        digests.begin();
        for (const { name, description } of list) {
          const one = tool(name, { description });
          assert.equal(digests.of(one), entryDigest({ ...one }));
        }
      }
    }),
  );
});
