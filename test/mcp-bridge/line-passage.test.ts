import assert from "node:assert/strict";
import { test } from "node:test";
import { createPassage } from "../../src/mcp-bridge/gateway-link.ts";
import type { SeenMessage } from "../../src/mcp-bridge/message-scan.ts";
import { fc } from "../support/properties.ts";

function startPassage(keeps: (line: Buffer | null) => boolean = () => true) {
  const written: Buffer[] = [];
  const lines: (string | null)[] = [];
  const cuts: (readonly SeenMessage[])[] = [];
  const passage = createPassage({
    onLine(_messages, line) {
      lines.push(line === null ? null : line.toString());
      return keeps(line);
    },
    onCut: (messages) => cuts.push(messages),
    write: (bytes) => written.push(Buffer.from(bytes)),
  });
  return { passage, lines, cuts, text: () => Buffer.concat(written).toString("latin1") };
}

const LONG = "x".repeat(2 * 1024 * 1024);

test("whatever comes goes on byte for byte, however it is cut", () => {
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

test("a line goes on when it is whole, and not when it is kept back", () => {
  const { passage, text, lines } = startPassage((line) => !line?.includes("own"));
  passage.push(Buffer.from('{"id":1'));
  assert.equal(text(), "");
  passage.push(Buffer.from('}\n{"own":1}\n{}\n{"id"'));
  assert.equal(text(), '{"id":1}\n{}\n');
  assert.deepEqual(lines, ['{"id":1}\n', '{"own":1}\n', "{}\n"]);
  assert.equal(passage.cut(), false, "nothing of the last has gone on");
  passage.push(Buffer.from(":2}\n"));
  assert.equal(text(), '{"id":1}\n{}\n{"id":2}\n');
});

test("a line too long to be held goes on as it comes, and is told of at its end", () => {
  const { passage, text, lines } = startPassage();
  passage.push(Buffer.from(`{"a":"${LONG}`));
  assert.ok(text().length > LONG.length);
  assert.deepEqual(lines, []);
  passage.push(Buffer.from('","id":1}\n{}\n'));
  assert.deepEqual(lines, [null, "{}\n"]);
  assert.equal(text(), `{"a":"${LONG}","id":1}\n{}\n`);
});

test("of a long line whose other end is gone the rest does not go on, and it is told what it was", () => {
  const { passage, text, lines, cuts } = startPassage();
  const begun = `{"method":"tools/call","params":{"a":"${LONG}`;
  passage.push(Buffer.from(begun));
  assert.equal(passage.cut(), true);
  assert.equal(passage.cut(), false);
  passage.push(Buffer.from(`${LONG}"},"id":7}\n{"id":8}\n`));
  assert.deepEqual(cuts, [[{ id: "7", method: "tools/call" }]]);
  assert.deepEqual(lines, ['{"id":8}\n']);
  assert.equal(text(), `${begun}{"id":8}\n`);
});
