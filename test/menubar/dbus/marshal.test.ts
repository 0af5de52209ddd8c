import assert from "node:assert/strict";
import { test } from "node:test";
import { marshal, unmarshal, variant } from "../../../src/menubar/dbus/marshal.ts";
import { parseSignature } from "../../../src/menubar/dbus/type-signature.ts";
import { fc } from "../../support/properties.ts";

function back(signature: string, values: readonly unknown[]): readonly unknown[] {
  return unmarshal(signature, { bytes: marshal(signature, values), littleEndian: true }).values;
}

test("bytes are as the specification lays them out", () => {
  const hex = (signature: string, ...values: unknown[]) => marshal(signature, values).toString("hex");
  assert.equal(hex("y", 1), "01");
  assert.equal(hex("yu", 1, 2), "0100000002000000", "a number stands at a multiple of its size");
  assert.equal(hex("b", true), "01000000");
  assert.equal(hex("s", "foo"), "03000000666f6f00");
  assert.equal(hex("g", "a{sv}"), "05617b73767d00");
  assert.equal(hex("v", variant("u", 7)), "0175000007000000");
  assert.equal(hex("ai", [1]), "0400000001000000");
  assert.equal(hex("a(y)", []), "0000000000000000", "room before the first struct, also when there is none");
  assert.equal(hex("ax", [1n]), "08000000000000000100000000000000", "not counted in the length");
  assert.equal(hex("ay", Uint8Array.of(1, 2)), "020000000102");
});

test("every value comes back as it went in", () => {
  const cases: readonly (readonly [string, readonly unknown[]])[] = [
    ["ybnqiuxtd", [255, false, -5, 65_535, -1, 4_294_967_295, -(2n ** 63n), 2n ** 64n - 1n, 1.5]],
    ["sog", ["é😀", "/a/b", "ii"]],
    [
      "a{sv}",
      [
        [
          ["a", variant("s", "x")],
          ["b", variant("ai", [1, 2])],
        ],
      ],
    ],
    ["(ia{sv}av)", [[1, [["label", variant("s", "L")]], [variant("(ia{sv}av)", [2, [], []])]]]],
    ["aay", [[Uint8Array.of(1), Uint8Array.of()]]],
    ["a(isvu)", [[[1, "clicked", variant("i", 0), 9]]]],
    ["", []],
  ];
  for (const [signature, values] of cases) assert.deepEqual(back(signature, values), values, signature);
});

test("any text comes back, but for what the protocol does not know", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      assert.deepEqual(back("s", [text]), [text.toWellFormed().replaceAll("\0", "\ufffd")]);
    }),
  );
});

test("what is not of its type is a mistake of ours", () => {
  for (const [signature, value] of [
    ["s", 1],
    ["u", "1"],
    ["b", 1],
    ["x", 1],
    ["v", "text"],
    ["v", variant("ii", 1)],
    ["ai", 1],
    ["(i)", [1, 2]],
    ["u", undefined],
  ] as const) {
    assert.throws(() => marshal(signature, [value]), { code: "internal" }, signature);
  }
  assert.throws(() => marshal("i", []), { code: "internal" });
});

test("no bytes whatever do harm: they are read, or refused", () => {
  fc.assert(
    fc.property(
      fc.constantFrom("s", "v", "a{sv}", "(ia{sv}av)", "a(isvu)", "ay", "g", "ad", "yxs", "aav"),
      fc.uint8Array({ maxLength: 64 }),
      fc.boolean(),
      (signature, bytes, littleEndian) => {
        try {
          unmarshal(signature, { bytes: Buffer.from(bytes), littleEndian });
        } catch (error) {
          assert.ok(error instanceof Error && "code" in error && error.code === "protocol", String(error));
        }
      },
    ),
    { numRuns: 2000 },
  );
});

test("a length that promises gigabytes is refused, not allocated", () => {
  const bytes = Buffer.from("ffffff7f00000000", "hex");
  for (const signature of ["ay", "as", "s"]) {
    assert.throws(() => unmarshal(signature, { bytes, littleEndian: true }), { code: "protocol" });
  }
});

for (const signature of [
  "(",
  "()",
  "a",
  "{sv}",
  "a{vs}",
  "a{s}",
  "z",
  "(i",
  ")",
  "a".repeat(40),
  "i".repeat(300),
]) {
  test(`${JSON.stringify(signature.slice(0, 12))} is no signature`, () => {
    assert.throws(() => parseSignature(signature), { code: "protocol" });
  });
}

test("a variant within a variant without end is refused before the stack is", () => {
  const bytes = Buffer.from("017600".repeat(5_000), "hex");
  assert.throws(() => unmarshal("v", { bytes, littleEndian: true }), { code: "protocol" });
});
