import assert from "node:assert/strict";
import { test } from "node:test";
import { createSseParser, type SseEvent, type SseParser } from "../../../src/runtime/text/sse-parser.ts";
import { fc, runsOf } from "../../support/properties.ts";

function read(parser: SseParser, ...chunks: (string | Buffer)[]): SseEvent[] {
  const events: SseEvent[] = [];
  for (const chunk of chunks) {
    parser.push(Buffer.from(chunk));
    for (let event = parser.next(); event !== null; event = parser.next()) events.push(event);
  }
  return events;
}

const dataOf = (text: string): string[] => read(createSseParser(1e6), text).map(({ data }) => data);

test("an event ends with an empty line, whichever the line ends are", () => {
  assert.deepEqual(dataOf("data: a\n\ndata: b\n\n"), ["a", "b"]);
  assert.deepEqual(dataOf("data: a\r\n\r\ndata: b\r\n\r\n"), ["a", "b"]);
  assert.deepEqual(dataOf("data: a\r\rdata: b\r\r"), ["a", "b"]);
  assert.deepEqual(dataOf("data: a\r\n\ndata: b\n\r\n"), ["a", "b"]);
  assert.deepEqual(dataOf("data: a\n"), []);
});

test("fields are read as the standard says", () => {
  assert.deepEqual(dataOf("\ufeffdata: after a mark\n\n"), ["after a mark"]);
  assert.deepEqual(dataOf("data: one\ndata:two\ndata:  three\n\n"), ["one\ntwo\n three"]);
  assert.deepEqual(dataOf(": a comment\nunknown: x\nnonsense\ndatax: y\ndata\ndata: z\n\n"), ["\nz"]);
  assert.deepEqual(dataOf("data:\n\ndata: \n\nid: 4\n\n\n\n"), []);
  assert.deepEqual(read(createSseParser(100), "event: ping\ndata: x\n\ndata: y\n\n"), [
    { type: "ping", data: "x" },
    { type: "message", data: "y" },
  ]);
});

test("a long line is given as it came, too, unless more lines belong to it", () => {
  const long = "ü".repeat(100_000);
  const bytes = Buffer.from(`data: ${long}\n\ndata: ${long}\ndata: more\n\n`);
  const [alone, joined] = read(createSseParser(1e6), bytes.subarray(0, 65_535), bytes.subarray(65_535));
  assert.deepEqual([alone?.data, alone?.bytes], [long, Buffer.from(long)]);
  assert.deepEqual(joined, { type: "message", data: `${long}\nmore` });
});

test("ids and retry are told, of an event without data too, and only once it is complete", () => {
  const parser = createSseParser(1_000);
  assert.equal(parser.lastEventId, null);
  read(parser, "id: 7\nretry: 250\ndata:\n");
  assert.equal(parser.lastEventId, null);
  read(parser, "\n");
  assert.equal(parser.lastEventId, "7");
  assert.equal(parser.retryMs, 250);
  read(parser, "retry: 1e3\nid: a\0b\ndata: x\n\n");
  assert.equal(parser.lastEventId, "7");
  assert.equal(parser.retryMs, 250);
  read(parser, "id\ndata: x\n\n");
  assert.equal(parser.lastEventId, null);
});

test("events come the same however the bytes are cut", () => {
  const line = fc.string({ unit: "binary" }).map((text) => text.toWellFormed().replace(/[\r\n]/g, ""));
  const event = fc.array(line, { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(
      fc.array(event),
      fc.constantFrom("\n", "\r", "\r\n"),
      fc.array(fc.integer({ min: 0, max: 50 })),
      (events, end, cuts) => {
        const text = events
          .map((lines) => lines.map((each) => `data: ${each}${end}`).join("") + end)
          .join("");
        const bytes = Buffer.from(text);
        const chunks: Buffer[] = [];
        let start = 0;
        for (const cut of cuts) {
          chunks.push(bytes.subarray(start, start + cut));
          start += cut;
        }
        chunks.push(bytes.subarray(start));
        const wanted = events.map((lines) => lines.join("\n")).filter((data) => data !== "");
        assert.deepEqual(
          read(createSseParser(1e6), ...chunks).map(({ data }) => data),
          wanted,
        );
      },
    ),
    { numRuns: runsOf(100) },
  );
});

test("an event beyond the limit ends it: one line, or many", () => {
  for (const text of [`data: ${"x".repeat(200)}`, `data: ${"x".repeat(200)}\n\n`, "data: x\n".repeat(40)]) {
    const parser = createSseParser(100);
    assert.deepEqual(read(parser, text), []);
    assert.equal(parser.overlong, true);
    assert.deepEqual(read(parser, "\n\ndata: y\n\n"), []);
  }
  const parser = createSseParser(100);
  assert.equal(read(parser, ...Array.from({ length: 40 }, () => "data: x\n\n")).length, 40);
  assert.equal(parser.overlong, false);
});

test("comments without end do not grow, and hostile line ends cost linear time", () => {
  const parser = createSseParser(1e9);
  const startedAt = performance.now();
  for (const text of ["x\n", "\r", ":\r\n", "\n", "abcdefgh\r"]) {
    read(parser, text.repeat(Math.floor((2 * 1024 * 1024) / text.length)));
  }
  // The square of millions of lines would be hours.
  assert.ok(performance.now() - startedAt < 60_000);
});
