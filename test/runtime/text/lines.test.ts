import assert from "node:assert/strict";
import { test } from "node:test";
import { createLineSplitter } from "../../../src/runtime/text/line-splitter.ts";
import { columns, printable } from "../../../src/runtime/text/plain-text.ts";
import { safeLine, shortened } from "../../../src/runtime/text/safe-line.ts";
import { createSseParser, type SseEvent, type SseParser } from "../../../src/runtime/text/sse-parser.ts";
import { pluck } from "../../support/pluck.ts";
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

/** The bytes in chunks of these lengths, and the rest. */
function cutBy(bytes: Buffer, lengths: readonly number[]): Buffer[] {
  let start = 0;
  const chunks = lengths.map((length) => {
    start += length;
    return bytes.subarray(start - length, start);
  });
  return [...chunks, bytes.subarray(start)];
}

test("lines are read the same however the bytes are cut, even in the middle of characters", () => {
  const text = fc.array(
    fc.string({ unit: "binary" }).map((line) => line.toWellFormed().replace(/[\r\n]/g, "")),
  );
  fc.assert(
    fc.property(text, fc.array(fc.nat(200)), fc.boolean(), (lines, cuts, windows) => {
      const bytes = Buffer.from(lines.map((line) => line + (windows ? "\r\n" : "\n")).join(""));
      assert.deepEqual(linesOf(cutBy(bytes, cuts)), [...lines, null]);
    }),
    { numRuns: runsOf(100) },
  );
});

test("text without a line end is the rest, once", () => {
  const splitter = createLineSplitter(100);
  splitter.push(Buffer.from("one\ntwo"));
  assert.equal(splitter.next(), "one");
  assert.equal(splitter.next(), null);
  assert.equal(splitter.rest(), "two");
  assert.equal(splitter.rest(), null);
});

test("a chunk pushed before the last was read is appended", () => {
  const splitter = createLineSplitter(100);
  splitter.push(Buffer.from("a\nb"));
  splitter.push(Buffer.from("c\n"));
  assert.equal(splitter.next(), "a");
  assert.equal(splitter.next(), "bc");
});

test("a line beyond the limit ends it, with its end in sight or not, and one of exactly the limit does not", () => {
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

test("only lines over the limit are left out, each reported once, so that a reader can continue", () => {
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
      for (const chunk of cutBy(bytes, cuts)) found.push(...splitter.take(chunk));
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

test("bytes that are not UTF-8 are available unchanged, and text may be pushed", () => {
  const splitter = createLineSplitter(100);
  splitter.push(Buffer.from([0xff, 0x0d, 0x0a, 0xfe]));
  assert.deepEqual(splitter.nextBytes(), Buffer.from([0xff]));
  assert.deepEqual(splitter.restBytes(), Buffer.from([0xfe]));
  assert.deepEqual([...splitter.take("é\nü")], ["é"]);
  assert.equal(splitter.rest(), "ü");
});

function read(parser: SseParser, ...chunks: (string | Buffer)[]): SseEvent[] {
  const events: SseEvent[] = [];
  for (const chunk of chunks) {
    parser.push(Buffer.from(chunk));
    for (let event = parser.next(); event !== null; event = parser.next()) events.push(event);
  }
  return events;
}

const dataOf = (text: string): string[] => read(createSseParser(1e6), text).map(({ data }) => data);

test("an event ends with an empty line, for any kind of line end", () => {
  assert.deepEqual(dataOf("data: a\n\ndata: b\n\n"), ["a", "b"]);
  assert.deepEqual(dataOf("data: a\r\n\r\ndata: b\r\n\r\n"), ["a", "b"]);
  assert.deepEqual(dataOf("data: a\r\rdata: b\r\r"), ["a", "b"]);
  assert.deepEqual(dataOf("data: a\r\n\ndata: b\n\r\n"), ["a", "b"]);
  assert.deepEqual(dataOf("data: a\n"), []);
});

test("fields are read according to the standard", () => {
  assert.deepEqual(dataOf("\ufeffdata: after a mark\n\n"), ["after a mark"]);
  assert.deepEqual(dataOf("data: one\ndata:two\ndata:  three\n\n"), ["one\ntwo\n three"]);
  assert.deepEqual(dataOf(": a comment\nunknown: x\nnonsense\ndatax: y\ndata\ndata: z\n\n"), ["\nz"]);
  assert.deepEqual(dataOf("data:\n\ndata: \n\nid: 4\n\n\n\n"), []);
  assert.deepEqual(read(createSseParser(100), "event: ping\ndata: x\n\ndata: y\n\n"), [
    { type: "ping", data: "x" },
    { type: "message", data: "y" },
  ]);
});

test("a long line is also given unchanged, unless further lines belong to it", () => {
  const long = "ü".repeat(100_000);
  const bytes = Buffer.from(`data: ${long}\n\ndata: ${long}\ndata: more\n\n`);
  const [alone, joined] = read(createSseParser(1e6), bytes.subarray(0, 65_535), bytes.subarray(65_535));
  assert.deepEqual([alone?.data, alone?.bytes], [long, Buffer.from(long)]);
  assert.deepEqual(joined, { type: "message", data: `${long}\nmore` });
});

test("ids and retry are reported, even of an event without data, and only once it is complete", () => {
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

test("events are read the same however the bytes are cut", () => {
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
        const chunks = cutBy(Buffer.from(text), cuts);
        const wanted = events.map((lines) => lines.join("\n")).filter((data) => data !== "");
        assert.deepEqual(pluck(read(createSseParser(1e6), ...chunks), "data"), wanted);
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

test("endless comments do not grow, and hostile line ends take linear time", () => {
  const parser = createSseParser(1e9);
  const startedAt = performance.now();
  for (const text of ["x\n", "\r", ":\r\n", "\n", "abcdefgh\r"]) {
    read(parser, text.repeat(Math.floor((2 * 1024 * 1024) / text.length)));
  }
  // The square of millions of lines would be hours.
  assert.ok(performance.now() - startedAt < 60_000);
});

// What a server, a program or a name brings is one bounded line that deceives nobody.
test("D3 characters that control a terminal, reverse text or are invisible are spelled out, and lines become one", () => {
  assert.equal(safeLine("  broken\r\n\tat x.ts  ", 100), "broken at x.ts");
  assert.equal(safeLine("a\u001b[2Jb", 100), "a\\x1b[2Jb");
  assert.equal(safeLine("exe\u202egpj", 100), "exe\\u{202e}gpj");
  assert.equal(safeLine("pay\u200bpal", 100), "pay\\u{200b}pal");
});

test("a joiner that shapes letters or a picture stays; one without a function, or between Latin letters, is spelled out", () => {
  for (const text of ["👩\u200d💻", "👩🏽\u200d💻", "👁️\u200d🗨️", "می\u200cخواهم", "क्\u200dष"]) {
    assert.equal(printable(text), text);
    assert.equal(safeLine(text, 100), text);
  }
  assert.equal(columns("می\u200cخواهم"), columns("میخواهم"));
  assert.equal(printable("pay\u200dpal\u200c"), "pay\\u{200d}pal\\u{200c}");
  assert.equal(printable("👩\u200d "), "👩\\u{200d} ");
});

test("it is never longer than requested, and never cut within a character", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: "binary", maxLength: 300 }),
      fc.integer({ min: 1, max: 60 }),
      (text, longest) => {
        const line = safeLine(text, longest);
        assert.ok(line.length <= longest && line.isWellFormed());
        assert.doesNotMatch(line, /[\p{Cc}\u202a-\u202e\u2066-\u2069\u200b]/u);
      },
    ),
    { numRuns: runsOf(100) },
  );
  assert.equal(safeLine("x".repeat(1_000_000), 300), `${"x".repeat(299)}…`);
  assert.equal(shortened("ab", 2), "ab");
  assert.ok(shortened("😀😀😀", 2).isWellFormed());
});
