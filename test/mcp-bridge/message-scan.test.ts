import assert from "node:assert/strict";
import { test } from "node:test";
import { createMessageScan, type SeenMessage } from "../../src/mcp-bridge/message-scan.ts";
import { fc } from "../support/properties.ts";

function scanned(text: string | Buffer, pieceBytes = Number.POSITIVE_INFINITY): readonly SeenMessage[] {
  const scan = createMessageScan();
  const bytes = Buffer.from(text);
  const size = Math.min(pieceBytes, Math.max(1, bytes.length));
  for (let at = 0; at < bytes.length; at += size) scan.push(bytes.subarray(at, at + size));
  return scan.end();
}

const CASES: readonly (readonly [string, readonly SeenMessage[]])[] = [
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
  ['{"id":1}{"id":2}', []],
  [`{"id":"${"x".repeat(5_000)}","method":"x"}`, [{ id: null, method: "x" }]],
  [`[${Array.from({ length: 101 }, () => '{"id":1}').join()}]`, []],
];

test("what a line is, whole and byte by byte", () => {
  for (const [text, messages] of CASES) {
    assert.deepEqual(scanned(text), messages, text);
    assert.deepEqual(scanned(text, 1), messages, text);
  }
});

test("any message is seen as it is parsed, however it is spelled and cut", () => {
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

test("bytes that are no JSON harm nothing, and leave nothing behind", () => {
  const scan = createMessageScan();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      scan.push(Buffer.from(bytes));
      scan.end();
      scan.push(Buffer.from('{"id":1,"method":"ping"}'));
      assert.deepEqual(scan.end(), [{ id: "1", method: "ping" }]);
    }),
  );
});
