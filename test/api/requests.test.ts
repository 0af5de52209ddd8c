// What the server accepts of a body, compared with a schema library's opinion of the same shapes.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as z from "zod/mini";
import {
  backendRequest,
  backendsRequest,
  callRequest,
  editRequest,
  editTextRequest,
  type RequestShape,
  readRequest,
  reloadRequest,
  rollbackRequest,
  sharesRequest,
  switchRequest,
  unmountRequest,
} from "../../src/api/requests.ts";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { fc, runsOf } from "../support/properties.ts";

const text = z.string();
const flag = z.exactOptional(z.boolean());
const names = z.exactOptional(z.nullable(z.array(text)));
const wellFormed = z.string().check(z.refine((value) => value.isWellFormed()));
const sha256 = z.string().check(z.regex(/^[0-9a-f]{64}$/));
const source = z.string().check(z.regex(/^[a-z][a-z0-9-]{0,31}$/));
const addedList = z.enum(["shares", "aliases"]);
const removedFrom = z.enum(["shares", "aliases", "backends"]);

function agree<T>(
  body: fc.Arbitrary<T>,
  kinds: readonly (readonly [RequestShape<unknown>, z.ZodMiniType])[],
) {
  fc.assert(
    fc.property(fc.constantFrom(...kinds), body, ([shape, schema], asked) => {
      const json = JSON.stringify(asked);
      let request: unknown = null;
      try {
        request = readRequest(json, shape);
      } catch (error) {
        assert.ok(error instanceof MountaineerError && error.code === "protocol");
      }
      assert.equal(request !== null, schema.safeParse(JSON.parse(json)).success, json);
      if (request !== null) {
        assert.deepEqual(request, JSON.parse(json));
        assert.equal(shape.faultIn(request), null, "a body that is read has the shape of its request");
      }
    }),
    { numRuns: runsOf(1_000) },
  );
}

test("bodies about shares are read as a schema would", () => {
  const value = fc.oneof(
    fc.constantFrom(null, true, false, "tb", "fallback", "auto", "CORE", 1, {}),
    fc.array(fc.oneof(fc.string(), fc.integer()), { maxLength: 3 }),
  );
  const body = fc.oneof(
    fc.dictionary(fc.constantFrom("shares", "to", "force", "wait", "other", "__proto__"), value),
    fc.record({ shares: fc.array(fc.string()), to: fc.constantFrom("tb", "auto"), force: fc.boolean() }),
    value,
  );
  agree(body, [
    [sharesRequest, z.strictObject({ shares: names })],
    [unmountRequest, z.strictObject({ shares: names, force: flag })],
    [
      switchRequest,
      z.strictObject({ shares: names, to: z.enum(["tb", "fallback", "auto"]), force: flag, wait: flag }),
    ],
  ]);
});

test("bodies about the configuration are read as a schema would", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.constantFrom("\ud800", "cli", "Cli", "ab".repeat(32)),
  );
  const value = fc.oneof(text, fc.constantFrom(null, true, 0, 1, -1, 1.5, [], {}), fc.integer());
  const edit = fc.oneof(
    fc.record({ key: text, value: fc.option(text) }),
    fc.dictionary(fc.constantFrom("key", "value", "more"), value),
    fc.record({
      add: fc.constantFrom("shares", "aliases", "backends"),
      entry: fc.oneof(
        fc.dictionary(fc.constantFrom("name", "share", "a b", ""), fc.oneof(text, value)),
        value,
      ),
    }),
    fc.record({ remove: fc.constantFrom("shares", "aliases", "backends"), name: fc.oneof(text, value) }),
  );
  const fields = fc.constantFrom("dry_run", "edits", "expected_sha256", "source", "text", "n", "other");
  const body = fc.oneof(
    fc.dictionary(fields, fc.oneof(value, fc.array(edit, { maxLength: 3 }))),
    fc.record({ edits: fc.array(edit, { maxLength: 3 }), source: fc.constantFrom("cli", "a b", "") }),
    fc.record({
      text,
      expected_sha256: fc.constantFrom("ab".repeat(32), "AB".repeat(32)),
      source: fc.constant("tui"),
    }),
    value,
  );
  const edits = z.array(
    z.union([
      z.strictObject({ key: wellFormed, value: z.nullable(wellFormed) }),
      z.strictObject({ add: addedList, entry: z.record(wellFormed, wellFormed) }),
      z.strictObject({ remove: removedFrom, name: wellFormed }),
    ]),
  );
  agree(body, [
    [reloadRequest, z.strictObject({ dry_run: flag })],
    [editRequest, z.strictObject({ edits, expected_sha256: z.exactOptional(sha256), source })],
    [editTextRequest, z.strictObject({ text: wellFormed, expected_sha256: sha256, source })],
    [
      rollbackRequest,
      z.strictObject({
        n: z.exactOptional(z.int().check(z.nonnegative())),
        sha256: z.exactOptional(sha256),
        expected_sha256: z.exactOptional(sha256),
      }),
    ],
  ]);
});

test("at most a thousand edits are taken at once", () => {
  const body = (edits: number) =>
    JSON.stringify({ edits: Array(edits).fill({ key: "a", value: null }), source: "api" });
  assert.equal(readRequest(body(1_000), editRequest).edits.length, 1_000);
  assert.throws(() => readRequest(body(1_001), editRequest), /edits is not a list of at most 1000/);
});

test("bodies about the gateway are read as a schema would", () => {
  const text = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("\ud800", "files"));
  const value = fc.oneof(
    text,
    fc.constantFrom(null, true, 1),
    fc.array(text, { maxLength: 3 }),
    fc.jsonValue(),
  );
  const field = fc.constantFrom("tool", "arguments", "backends", "backend", "other");
  const body = fc.oneof(
    fc.dictionary(field, value),
    fc.record({ tool: text, arguments: fc.dictionary(fc.string(), fc.jsonValue()) }),
    fc.record({ backends: fc.option(fc.array(text)) }),
    fc.record({ backend: text }),
    value,
  );
  const jsonObject = z.record(z.string(), z.unknown());
  agree(body, [
    [callRequest, z.strictObject({ tool: wellFormed, arguments: z.exactOptional(jsonObject) })],
    [backendsRequest, z.strictObject({ backends: names })],
    [backendRequest, z.strictObject({ backend: wellFormed })],
  ]);
});

test("a backend is added by no edit, which may remove one", () => {
  const body = (edit: object) => JSON.stringify({ edits: [edit], source: "cli" });
  assert.throws(
    () => readRequest(body({ add: "backends", entry: { name: "a" } }), editRequest),
    /edits is not/,
  );
  assert.equal(readRequest(body({ remove: "backends", name: "a" }), editRequest).edits.length, 1);
});

test("a call's arguments come as they are, whatever their keys", () => {
  const body = '{"tool":"t","arguments":{"__proto__":{"x":1},"constructor":null,"":[]}}';
  assert.equal(JSON.stringify(readRequest(body, callRequest)), body);
});

test("a body may be empty, and nothing else that is not a JSON object", () => {
  assert.deepEqual(readRequest(" \n", sharesRequest), {});
  for (const body of ["[]", "null", "7", '"x"', "{", '{"shares":["A"]']) {
    assert.throws(() => readRequest(body, sharesRequest), { code: "protocol" });
  }
});

test("what is wrong in a body is named", () => {
  const cases: readonly [string, RequestShape<unknown>, string][] = [
    ["{}", switchRequest, "the body lacks to: tb, fallback or auto"],
    ['{"to":"x"}', switchRequest, "to is not tb, fallback or auto"],
    ['{"force":1}', unmountRequest, "force is not true or false"],
    ['{"shares":[1]}', sharesRequest, "shares is not a list of names, or null for all"],
    ['{"tool":"t","arguments":[]}', callRequest, "arguments is not a JSON object"],
    ['{"n":-1}', rollbackRequest, "n is not a whole number from 0"],
    ['{"fleet":1}', sharesRequest, "the body has a field that is not known here: fleet"],
  ];
  for (const [body, shape, message] of cases)
    assert.throws(() => readRequest(body, shape), { code: "protocol", message });
});
