import assert from "node:assert/strict";
import { test } from "node:test";
import { createLineSplitter } from "../../../src/runtime/text/line-splitter.ts";
import { fc, runsOf } from "../../support/properties.ts";

function linesOf(chunks: readonly Buffer[], limit = 1_000_000): (string | null)[] {
  const splitter = createLineSplitter(limit);
  const lines: (string | null)[] = [];
  for (const chunk of chunks) {
    splitter.push(chunk);
    for (let line = splitter.next(); line !== null; line = splitter.next()) lines.push(line);
  }
  lines.push(splitter.rest());
  return lines;
}

test("lines come the same however the bytes are cut, in the middle of characters too", () => {
  const text = fc.array(
    fc.string({ unit: "binary" }).map((line) => line.toWellFormed().replace(/[\r\n]/g, "")),
  );
  fc.assert(
    fc.property(text, fc.array(fc.nat(200)), fc.boolean(), (lines, cuts, windows) => {
      const bytes = Buffer.from(lines.map((line) => line + (windows ? "\r\n" : "\n")).join(""));
      const chunks: Buffer[] = [];
      let start = 0;
      for (const cut of cuts) {
        chunks.push(bytes.subarray(start, start + cut));
        start += cut;
      }
      chunks.push(bytes.subarray(start));
      assert.deepEqual(linesOf(chunks), [...lines, null]);
    }),
    { numRuns: runsOf(100) },
  );
});

test("what lacks its end is the rest, once", () => {
  const splitter = createLineSplitter(100);
  splitter.push(Buffer.from("one\ntwo"));
  assert.equal(splitter.next(), "one");
  assert.equal(splitter.next(), null);
  assert.equal(splitter.rest(), "two");
  assert.equal(splitter.rest(), null);
});

test("a chunk pushed before the last was asked for is appended", () => {
  const splitter = createLineSplitter(100);
  splitter.push(Buffer.from("a\nb"));
  splitter.push(Buffer.from("c\n"));
  assert.equal(splitter.next(), "a");
  assert.equal(splitter.next(), "bc");
});

test("a line beyond the limit ends it, with its end in sight or not, and one of the limit does not", () => {
  for (const text of ["123456", "123456\n", "12345\n123456\n"]) {
    const splitter = createLineSplitter(5);
    splitter.push(Buffer.from(text));
    while (splitter.next() !== null);
    assert.equal(splitter.overlong, true, text);
    splitter.push(Buffer.from("x\n"));
    assert.equal(splitter.next(), null);
  }
  assert.deepEqual(linesOf([Buffer.from("12345\n")], 5), ["12345", null]);
});

test("64 MiB in one line take linear time: to copy or search them at each of 65,536 chunks takes minutes", () => {
  const splitter = createLineSplitter(1e9);
  const chunk = Buffer.alloc(1_024, "x");
  const startedAt = performance.now();
  for (let count = 0; count < 65_536; count++) {
    splitter.push(chunk);
    assert.equal(splitter.next(), null);
  }
  splitter.push(Buffer.from("\n"));
  assert.equal(splitter.next()?.length, 64 * 1024 * 1024);
  assert.ok(performance.now() - startedAt < 30_000);
});

test("lines over the limit alone are left out, each told once, for whoever wants to go on", () => {
  const line = fc.string({ unit: "grapheme", maxLength: 12 }).map((text) => text.replaceAll(/[\r\n]/g, " "));
  fc.assert(
    fc.property(fc.array(line), fc.array(fc.nat(200)), fc.boolean(), (lines, cuts, isEnded) => {
      const limit = 20;
      const text = lines.map((each) => `${each}\n`).join("");
      // The last may lack its end, unless there is nothing of it.
      const bytes = Buffer.from(isEnded || lines.at(-1) === "" ? text : text.replace(/\n$/, ""));
      const found: (string | null)[] = [];
      let tooLong = 0;
      const splitter = createLineSplitter(
        () => limit,
        () => {
          tooLong += 1;
        },
      );
      let start = 0;
      for (const cut of [...cuts.toSorted((a, b) => a - b), bytes.length]) {
        const end = Math.min(cut, bytes.length);
        found.push(...splitter.take(bytes.subarray(start, end)));
        start = Math.max(start, end);
      }
      found.push(splitter.rest());
      assert.equal(splitter.rest(), null);
      const expected = lines.filter((text) => Buffer.byteLength(text) <= limit);
      assert.deepEqual(
        found.filter((each) => each !== null),
        expected,
      );
      assert.equal(tooLong, lines.length - expected.length);
      assert.equal(splitter.overlong, false);
    }),
    { numRuns: runsOf(100) },
  );
});

test("bytes that are no UTF-8 can be had as they are, and text may be pushed", () => {
  const splitter = createLineSplitter(100);
  splitter.push(Buffer.from([0xff, 0x0d, 0x0a, 0xfe]));
  assert.deepEqual(splitter.nextBytes(), Buffer.from([0xff]));
  assert.deepEqual(splitter.restBytes(), Buffer.from([0xfe]));
  assert.deepEqual([...splitter.take("é\nü")], ["é"]);
  assert.equal(splitter.rest(), "ü");
});
