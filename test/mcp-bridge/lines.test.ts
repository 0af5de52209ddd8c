// Messages and lines on their way through the bridge: what a line is, which of them go on, and what is kept meanwhile.
import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { type InputTaker, openClientInput } from "../../src/mcp-bridge/client-input.ts";
import { createPassage } from "../../src/mcp-bridge/line-passage.ts";
import { createMessageScan, type ScannedMessage } from "../../src/mcp-bridge/message-scan.ts";
import { eventually } from "../support/eventually.ts";
import { settle } from "../support/manual-clock.ts";
import { fc } from "../support/properties.ts";

function scanned(text: string | Buffer, pieceBytes = Number.POSITIVE_INFINITY): readonly ScannedMessage[] {
  const scan = createMessageScan();
  const bytes = Buffer.from(text);
  const size = Math.min(pieceBytes, Math.max(1, bytes.length));
  for (let at = 0; at < bytes.length; at += size) scan.push(bytes.subarray(at, at + size));
  return scan.end();
}

const CASES: readonly (readonly [string, readonly ScannedMessage[]])[] = [
  ['{"jsonrpc":"2.0","id":1,"method":"ping"}', [{ id: "1", method: "ping" }]],
  ['{"method":"ping","params":{"id":7,"method":"no"},"id":"a"}', [{ id: '"a"', method: "ping" }]],
  ['{"id":12345678901234567890,"result":{}}', [{ id: "12345678901234567890", method: null }]],
  ['{"id":1.0,"result":{}}', [{ id: "1", method: null }]],
  ['{"id":"\\u0061\\"","result":{}}', [{ id: '"a\\""', method: null }]],
  ['{"\\u0069d":3,"method":"x"}\r\n', [{ id: "3", method: "x" }]],
  [' { "id" : 4 , "method" : "x" } \n', [{ id: "4", method: "x" }]],
  ['{"id":1,"method":"x","id":2}', [{ id: "2", method: "x" }]],
  ['{"id":1,"method":"x","id":[2],"method":{}}', [{ id: null, method: null }]],
  ['{"method":"notifications/initialized"}', [{ id: null, method: "notifications/initialized" }]],
  ['{"id":null,"error":{}}', [{ id: null, method: null }]],
  ['{"id":{"id":1},"method":["x"]}', [{ id: null, method: null }]],
  ['{"a":["id",1,"method","x"],"id":1}', [{ id: "1", method: null }]],
  [
    '[{"id":1,"method":"a"},{"id":2,"result":{}}]',
    [
      { id: "1", method: "a" },
      { id: "2", method: null },
    ],
  ],
  ['[[{"id":1}],{"id":2}]', [{ id: "2", method: null }]],
  ["[]", []],
  ["", []],
  ["\n", []],
  ["17", []],
  ['"text"', []],
  ['{"id":1', []],
  ['{"id":1,"method":"x}', []],
  ['{"id":1}}', []],
  ['{"id":1}"x', []],
  ['{"id":1}{"id":2}', []],
  [`{"id":"${"x".repeat(5_000)}","method":"x"}`, [{ id: null, method: "x" }]],
  [`[${Array.from({ length: 101 }, () => '{"id":1}').join()}]`, []],
];

test("the parts of a line, whole and byte by byte", () => {
  for (const [text, messages] of CASES) {
    assert.deepEqual(scanned(text), messages, text);
    assert.deepEqual(scanned(text, 1), messages, text);
  }
});

test("any message is read as it is parsed, however it is spelled and cut", () => {
  const id = fc.oneof(fc.string(), fc.integer(), fc.constant(null), fc.double({ noNaN: true }));
  const message = fc.record(
    { id, method: fc.string(), params: fc.jsonValue(), result: fc.jsonValue(), jsonrpc: fc.constant("2.0") },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(fc.array(message, { maxLength: 5 }), fc.nat(40), fc.nat(3), (batch, cut, indent) => {
      const text = JSON.stringify(batch, null, indent);
      const read: typeof batch = JSON.parse(text);
      const seen = read.map((each) => ({
        id: typeof each.id === "string" || typeof each.id === "number" ? JSON.stringify(each.id) : null,
        method: each.method ?? null,
      }));
      assert.deepEqual(scanned(text, cut + 1), seen);
      const [first] = batch;
      if (first !== undefined) {
        assert.deepEqual(scanned(JSON.stringify(first, null, indent), cut + 1), seen.slice(0, 1));
      }
    }),
  );
});

test("an id of more than 4,095 digits is ignored, not shortened", () => {
  const digits = "1".repeat(4_095);
  assert.deepEqual(scanned(`{"id":${digits},"method":"x"}`), [{ id: digits, method: "x" }]);
  assert.deepEqual(scanned(`{"id":${digits}1,"method":"x"}`), [{ id: null, method: "x" }]);
});

test("bytes that are not JSON cause no harm", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void scanned(Buffer.from(bytes))));
});

function startPassage(longest?: number) {
  const lines: string[] = [];
  const tooLong: (readonly ScannedMessage[])[] = [];
  const passage = createPassage({
    onLine: (_messages, line) => lines.push(line.toString("latin1")),
    onTooLong: (messages) => tooLong.push(messages),
    ...(longest !== undefined && { longest }),
  });
  return { passage, lines, tooLong, text: () => lines.join("") };
}

test("all bytes are forwarded unchanged, however they are cut", () => {
  const piece = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constant(Buffer.from("\n")));
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      const { passage, text } = startPassage();
      for (const each of pieces) passage.push(Buffer.from(each));
      passage.end();
      assert.equal(text(), Buffer.concat(pieces).toString("latin1"));
    }),
  );
});

test("a line is forwarded when it is whole", () => {
  const { passage, lines } = startPassage();
  passage.push(Buffer.from('{"id":1'));
  assert.deepEqual(lines, []);
  passage.push(Buffer.from('}\n{}\n{"id"'));
  assert.deepEqual(lines, ['{"id":1}\n', "{}\n"]);
  passage.push(Buffer.from(":2}\n"));
  assert.deepEqual(lines, ['{"id":1}\n', "{}\n", '{"id":2}\n']);
});

test("a line that is too long is not stored, and its request is identified", () => {
  const { passage, lines, tooLong } = startPassage(1_000);
  passage.push(Buffer.from(`{"method":"tools/call","params":{"a":"${"x".repeat(2_000)}`));
  passage.push(Buffer.from('"},"id":7}\n{"id":8}\n'));
  assert.deepEqual(tooLong, [[{ id: "7", method: "tools/call" }]]);
  assert.deepEqual(lines, ['{"id":8}\n']);
});

function startInbox() {
  const input = new PassThrough();
  let left = 0;
  const inbox = openClientInput(input, () => {
    left += 1;
  });
  let text = "";
  let ends = 0;
  const taker: InputTaker = {
    push(chunk) {
      text += chunk.toString();
      return true;
    },
    end() {
      ends += 1;
    },
  };
  return { input, inbox, taker, text: () => text, ends: () => ends, left: () => left };
}

test("nothing is read without a taker; the end is reported after all input", async () => {
  const { input, inbox, taker, text, ends, left } = startInbox();
  input.end("early");
  await settle();
  assert.equal(inbox.ended, false);
  inbox.handTo(taker);
  await eventually(() => ends() === 1);
  assert.deepEqual([text(), left(), inbox.ended], ["early", 0, true]);
});

test("input without a taker is stored, goes first, and is bounded", async () => {
  const { input, inbox, taker, text, left } = startInbox();
  inbox.handTo(taker);
  input.write("a");
  await settle();
  inbox.keep();
  input.write("b");
  await settle();
  assert.equal(text(), "a");
  const much = "x".repeat(16 * 1024);
  let written = 0;
  while (written < 1_000 && input.write(much)) {
    written += 1;
    await settle();
  }
  assert.ok(written < 20, `${written} of 16 KiB were taken`);
  inbox.more();
  assert.equal(input.isPaused(), true, "room of who takes nothing any more");
  inbox.handTo(taker);
  await eventually(() => text().length === 2 + (written + 1) * much.length);
  assert.ok(text().startsWith("abx"));
  inbox.keep();
  input.end("last words");
  await eventually(() => left() === 1);
});

test("a client that ends while there is no taker is noticed", async () => {
  const { input, inbox, taker, ends, left } = startInbox();
  inbox.handTo({ ...taker, push: () => false });
  input.write("more than there is room for");
  await settle();
  assert.equal(input.isPaused(), true);
  inbox.keep();
  input.end("last words");
  await eventually(() => left() === 1);
  assert.deepEqual([inbox.ended, ends()], [true, 0]);
});

test("a full taker gets no further input until it has space", async () => {
  const { input, inbox, text, taker } = startInbox();
  let hasRoom = false;
  inbox.handTo({ ...taker, push: (chunk) => taker.push(chunk) && hasRoom });
  input.write("a");
  await settle();
  input.write("b");
  await settle();
  assert.equal(text(), "a");
  hasRoom = true;
  inbox.more();
  await eventually(() => text() === "ab");
  inbox[Symbol.dispose]();
  input.write("c");
  await settle();
  assert.equal(text(), "ab");
});
