import assert from "node:assert/strict";
import { test } from "node:test";
import { createLineSplitter } from "../../../src/gateway/backends/line-splitter.ts";
import { fc } from "../../support/properties.ts";

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
