import assert from "node:assert/strict";
import { test } from "node:test";
import { createEventFrameReader } from "../../src/api/event-frames.ts";
import { fc } from "../support/properties.ts";

const LIMIT = 1_000;

test("frames come out whole, however the text is cut into pieces", () => {
  const frame = fc.record({ id: fc.option(fc.nat()), data: fc.json({ maxDepth: 1 }) });
  const lineBreak = fc.constantFrom("\n", "\r\n");
  fc.assert(
    fc.property(
      fc.array(frame),
      lineBreak,
      fc.infiniteStream(fc.integer({ min: 1, max: 9 })),
      (sent, eol, sizes) => {
        const text = sent
          .map(
            ({ id, data }) => `${id === null ? "" : `id: ${id}${eol}`}data: ${data}${eol}${eol}:${eol}${eol}`,
          )
          .join("");
        const reader = createEventFrameReader(100_000);
        const read = [];
        for (let at = 0; at < text.length; ) {
          const size = sizes.next().value;
          read.push(...reader.read(text.slice(at, at + size)));
          at += size;
        }
        assert.deepEqual(
          read,
          sent.map(({ id, data }) => ({ id: id === null ? null : String(id), data })),
        );
      },
    ),
    { numRuns: 200 },
  );
});

test("comments, unknown fields and frames without data are none; several data lines are one text", () => {
  const reader = createEventFrameReader(LIMIT);
  assert.deepEqual(reader.read(": hello\n\nretry: 1000\nevent: x\n\nid: 4\n\n"), []);
  assert.deepEqual(reader.read("data:a\ndata: b\nid\n\n"), [{ id: "", data: "a\nb" }]);
});

test("an id belongs to its own frame alone", () => {
  const reader = createEventFrameReader(LIMIT);
  assert.deepEqual(reader.read("id: 1\ndata: a\n\ndata: b\n\n"), [
    { id: "1", data: "a" },
    { id: null, data: "b" },
  ]);
});

test("a frame without end is refused, in one line or in many", () => {
  assert.throws(() => createEventFrameReader(LIMIT).read("x".repeat(LIMIT + 1)), RangeError);
  const lines = createEventFrameReader(LIMIT);
  assert.throws(() => {
    for (let line = 0; line < LIMIT; line++) lines.read("data: x\n");
  }, RangeError);
});
