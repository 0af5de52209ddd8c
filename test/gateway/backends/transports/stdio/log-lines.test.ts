// What is kept of what a program writes, and why it ended.
import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { createLineCleaner } from "../../../../../src/gateway/backends/transports/backend-transport.ts";
import { ExitReason } from "../../../../../src/gateway/backends/transports/stdio/exit-reason.ts";
import { readLogLines } from "../../../../../src/gateway/backends/transports/stdio/log.ts";
import { createMessageReader } from "../../../../../src/gateway/backends/transports/stdio/message-reader.ts";
import { eventually } from "../../../../support/eventually.ts";
import { createManualClock, settle } from "../../../../support/manual-clock.ts";
import { pluck } from "../../../../support/pluck.ts";

test("colours are removed, other control characters are spelled out, secrets are replaced in every spelling", () => {
  const clean = createLineCleaner(['a"b/c']);
  assert.equal(clean("\u001b[1;31mred\u001b[0m \u0007 \u202e"), "red \\x07 \\u{202e}");
  assert.equal(clean('x a"b/c y {"k":"a\\"b/c"} a%22b%2Fc'), 'x [redacted] y {"k":"[redacted]"} [redacted]');
});

test("a long text is cut, cheaply, and no half secret is left", () => {
  const clean = createLineCleaner(["s3cret-01"]);
  assert.equal(clean("x".repeat(5_000)), `${"x".repeat(4_096)}…`);
  assert.doesNotMatch(clean(`${"x".repeat(4_090)}s3cret-01${"y".repeat(100)}`), /s3c/);
  // All of these are taken out, so that what follows would be seen if it were looked at.
  assert.equal(clean(`${"\u001b[0m".repeat(10)}seen`), "seen");
  assert.equal(clean(`${"\u001b[0m".repeat(64 * 1024)}seen`), "");
});

function readingLog() {
  const clock = createManualClock();
  const stream = new PassThrough();
  const lines: string[] = [];
  const end = readLogLines(stream, clock, (line) => void lines.push(line));
  return { clock, stream, lines, end };
}

test("the excess of a flood is dropped, and the line that it began in is not joined with the next text", async () => {
  const { clock, stream, lines, end } = readingLog();
  stream.write("first\nhalf");
  stream.write("x".repeat(600_000));
  await eventually(() => clock.pendingTimers === 1);
  await clock.advance(1_000);
  stream.write(" a line\nlast");
  await eventually(() => lines.length === 3);
  end(true);
  assert.deepEqual(lines, [
    "first",
    "(600000 bytes of log were dropped: too much at once)",
    " a line",
    "last",
  ]);
});

test("a reading that ends in the middle of a flood waits for nothing further", async () => {
  const { clock, stream, end } = readingLog();
  stream.write("x".repeat(600_000));
  await eventually(() => clock.pendingTimers === 1);
  end(false);
  assert.equal(clock.pendingTimers, 0);
});

function reasonOf(...lines: readonly string[]): string | null {
  const reason = new ExitReason();
  for (const line of lines) reason.add(line);
  assert.equal(reason.lastLine, lines.at(-1) ?? null);
  return reason.text;
}

test("the last line gives the reason why a program ended", () => {
  assert.equal(reasonOf(), null);
  assert.equal(reasonOf("ValueError: old", "ValueError: bad key"), "ValueError: bad key");
  assert.equal(reasonOf("Error: an error of a request", "cannot open the index"), "cannot open the index");
});

test("for a Node program it is the error, not the version", () => {
  const end = "Node.js v22.18.0";
  assert.equal(
    reasonOf("TypeError: earlier", "file:///a.mjs:1", "  ^", "Error: no key", "    at a.mjs:1 {", "}", end),
    "Error: no key",
  );
  assert.equal(
    reasonOf("Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'x'", "    at a", end),
    "Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'x'",
  );
  assert.equal(reasonOf("str", end), "str");
});

test("for npx it is the error, not the location of the log", () => {
  const end = "npm error A complete log of this run can be found in: /home/anna/.npm/_logs/a.log";
  assert.equal(
    reasonOf(
      "npm error code E404",
      "npm error 404 Not Found - GET https://registry.npmjs.org/x - Not found",
      "npm error 404",
      "npm error 404  'x@*' is not in this registry.",
      end,
    ),
    "npm error 404 Not Found - GET https://registry.npmjs.org/x - Not found",
  );
  assert.equal(
    reasonOf(
      "npm ERR! code ENOTFOUND",
      "npm ERR! syscall getaddrinfo",
      "npm ERR! errno ENOTFOUND",
      "npm ERR! network request to https://registry.npmjs.org/x failed",
      "npm ERR! A complete log of this run can be found in:",
    ),
    "npm ERR! network request to https://registry.npmjs.org/x failed",
  );
  assert.equal(reasonOf(end), end);
});

test("lines that are not JSON are tolerated up to a number and a size within ten seconds", async () => {
  for (const [line, count, betweenMs, fails] of [
    ["x", 1_000, 0, false],
    ["x", 1_002, 0, true],
    ["x".repeat(64 * 1024), 16, 0, false],
    ["x".repeat(64 * 1024), 18, 0, true],
    ["x", 1_500, 10_001, false],
  ] as const) {
    const clock = createManualClock();
    const stdout = new PassThrough();
    const failures: string[] = [];
    createMessageReader(stdout, 1024 * 1024, clock, {
      onMessage: () => null,
      onNoise() {},
      onRequestFailed() {},
      onOddity() {},
      onFailure: ({ message }) => failures.push(message),
      onResumed() {},
    });
    for (const waitMs of [betweenMs, 0]) {
      for (let written = 0; written < count / 2; written++) stdout.write(`${line}\n`);
      await settle();
      await clock.advance(waitMs);
    }
    assert.equal(failures.length > 0, fails, `${count} of ${line.length}`);
  }
});

test("E4 messages that come at once are read in turns of 20 ms", async () => {
  const stdout = new PassThrough();
  const readIn: number[] = [];
  let nowMs = 0;
  let turn = 0;
  createMessageReader(
    stdout,
    1024 * 1024,
    { ...createManualClock(), monotonicMs: () => nowMs },
    {
      onMessage() {
        readIn.push(turn);
        nowMs += 8;
        return null;
      },
      onNoise() {},
      onRequestFailed() {},
      onOddity() {},
      onFailure() {},
      onResumed() {},
    },
  );
  for (const messages of [5, 4]) stdout.write('{"method":"x"}\n'.repeat(messages));
  for (; turn < 20; turn++) await nextTurn();
  assert.deepEqual(pluck(Map.groupBy(readIn, (of) => of).values(), "length"), [3, 3, 3]);
});

/** All that the reader gives of a text that comes in pieces of so many bytes. */
async function readPieces(
  text: string,
  bytes: number,
  limitBytes = 1024 * 1024,
): Promise<readonly unknown[]> {
  const stdout = new PassThrough();
  const told: unknown[] = [];
  const reader = createMessageReader(stdout, limitBytes, createManualClock(), {
    onMessage: async (message) => void told.push(message),
    onNoise: (line) => void told.push(line),
    onRequestFailed: (id) => void told.push(`failed ${id}`),
    onOddity() {},
    onFailure: ({ kind }) => void told.push(kind),
    onResumed() {},
  });
  const all = Buffer.from(text);
  for (let at = 0; at < all.length; at += bytes) stdout.write(all.subarray(at, at + bytes));
  await settle();
  reader.finish();
  await settle();
  return told;
}

test("D9 text around messages is read the same however it is cut, and each message once", async () => {
  const answer = (id: number) => ({ jsonrpc: "2.0", id, result: { text: 'ä } " {' } });
  const notice = { jsonrpc: "2.0", method: "x" };
  const line = (message: unknown): string => JSON.stringify(message);
  const framed = (message: unknown, more = ""): string =>
    `Content-Length: ${Buffer.byteLength(line(message))}\r\n${more}\r\n${line(message)}`;
  const cases: [text: string, told: readonly unknown[]][] = [
    [`50% ${line(answer(1))}\n`, ["50%", answer(1)]],
    [`${line(answer(1))} it's {done}\n${line(answer(2))}\n`, ["it's {done}", answer(1), answer(2)]],
    [`${line(notice)}${line(answer(1))}\n`, [notice, answer(1)]],
    // Not to be told apart from what it is quoted in.
    [`got ${line(notice)}\n`, [`got ${line(notice)}`]],
    [`${line(answer(1))} or ${line(answer(2))}\n`, [`${line(answer(1))} or ${line(answer(2))}`]],
    [`got "${line(answer(1))}"\n`, [`got "${line(answer(1))}"`]],
    [`{log: ${line(answer(1))}}\n`, [`{log: ${line(answer(1))}}`]],
    [`${JSON.stringify(answer(1), null, 2)}\n${line(answer(2))}\n`, [answer(1), answer(2)]],
    [`{\n${line(answer(1))}\n{\n"a": 1\n}\n`, ["{", answer(1), "{", '"a": 1', "}"]],
    [`{\n"jsonrpc": "2.0"`, ["{", '"jsonrpc": "2.0"']],
    [
      `up\n${framed(answer(1))}${framed(answer(2), "Content-Type: x\r\n")}`,
      ["up", answer(1), "Content-Type: x", answer(2)],
    ],
    // A server that has not begun with it does not mean it.
    [
      `${line(answer(1))}\nContent-Length: 9\n\n${line(answer(2))}\n`,
      [answer(1), "Content-Length: 9", answer(2)],
    ],
    [`{"jsonrpc":"2.0","id":7,"result":{"a":[NaN,"NaN"]}}\n`, ["failed 7"]],
    [`{"jsonrpc":"2.0","method":"x","params":NaN}\n`, ['{"jsonrpc":"2.0","method":"x","params":NaN}']],
  ];
  for (const [text, told] of cases)
    for (const bytes of [1, 7, text.length]) assert.deepEqual(await readPieces(text, bytes), told, text);
});

test("D9 an object over several lines is no longer than a message may be", async () => {
  const told = await readPieces(`{"a": [\n${"1,\n".repeat(1_000)}`, 100, 1_000);
  assert.equal(told[0], "overloaded");
});
