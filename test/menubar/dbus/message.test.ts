import assert from "node:assert/strict";
import { test } from "node:test";
import { createMessageReader, encodeMessage, type Message } from "../../../src/menubar/dbus/message.ts";

const CALL: Message = {
  type: "call",
  serial: 7,
  noReply: false,
  path: "/MenuBar",
  interface: "com.canonical.dbusmenu",
  member: "AboutToShow",
  destination: ":1.5",
  sender: ":1.9",
  signature: "i",
  body: [3],
};
const SIGNAL: Message = {
  type: "signal",
  serial: 8,
  noReply: false,
  path: "/MenuBar",
  interface: "com.canonical.dbusmenu",
  member: "LayoutUpdated",
  signature: "ui",
  body: [2, 0],
};
const ERROR: Message = {
  type: "error",
  serial: 9,
  noReply: true,
  errorName: "a.b.C",
  replySerial: 7,
  signature: "",
  body: [],
};

test("messages come back as they went, however the bytes are cut", () => {
  const bytes = Buffer.concat([CALL, SIGNAL, ERROR].map(encodeMessage));
  for (const size of [1, 3, 16, 17, bytes.length]) {
    const read = createMessageReader();
    const messages: Message[] = [];
    for (let at = 0; at < bytes.length; at += size) messages.push(...read(bytes.subarray(at, at + size)));
    assert.deepEqual(messages, [CALL, SIGNAL, ERROR], `in pieces of ${size}`);
  }
});

test("the other byte order is understood, too", () => {
  // A signal /a i.f M with the body u 258, written big-endian by hand.
  const fields = Buffer.concat([
    Buffer.from(
      "01016f00000000022f610000000000000201730000000003692e66000000000003017300000000014d00",
      "hex",
    ),
    Buffer.from("000000000000", "hex"),
    Buffer.from("0801670001750000".slice(0, 14), "hex"),
  ]);
  const head = Buffer.alloc(16);
  head.write("B", 0, "latin1");
  head.writeUInt8(4, 1);
  head.writeUInt8(1, 3);
  head.writeUInt32BE(4, 4);
  head.writeUInt32BE(5, 8);
  head.writeUInt32BE(fields.length, 12);
  const pad = Buffer.alloc((8 - ((16 + fields.length) % 8)) % 8);
  const [message] = createMessageReader()(Buffer.concat([head, fields, pad, Buffer.from("00000102", "hex")]));
  assert.deepEqual(
    [message?.type, message?.path, message?.interface, message?.member, message?.serial, message?.body],
    ["signal", "/a", "i.f", "M", 5, [258]],
  );
});

test("what is no message, or too long to be one, is refused", () => {
  for (const bytes of [
    Buffer.from("HTTP/1.1 200 OK\r\n\r\n"),
    Buffer.concat([Buffer.from([0x6c, 1, 0, 1, 255, 255, 255, 127]), Buffer.alloc(8)]),
  ]) {
    assert.throws(() => createMessageReader()(bytes), { code: "protocol" });
  }
});

test("a message of a type that is not known is left out, and the next one heard", () => {
  const unknown = encodeMessage(SIGNAL);
  unknown.writeUInt8(9, 1);
  assert.deepEqual(createMessageReader()(Buffer.concat([unknown, encodeMessage(CALL)])), [CALL]);
});

test("bytes that are in no byte order are no message", () => {
  for (const mark of ["L", "b", "\0"]) {
    const bytes = encodeMessage(CALL);
    bytes.write(mark);
    assert.throws(() => createMessageReader()(bytes), /no byte order/);
  }
});
