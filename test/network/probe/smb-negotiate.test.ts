import assert from "node:assert/strict";
import test from "node:test";
import {
  buildNegotiateRequest,
  createNegotiateReader,
  type NegotiateAnswer,
} from "../../../src/network/probe/smb-negotiate.ts";
import { fc } from "../../support/properties.ts";

/** An answer as a server gives it: header, body, and some bytes of a security buffer. */
function negotiateAnswer(
  overrides: { status?: number; dialect?: number; command?: number; flags?: number; size?: number } = {},
): Buffer {
  const message = Buffer.alloc(64 + 65 + 40);
  message.write("\xfeSMB", 0, "latin1");
  message.writeUInt16LE(64, 4);
  message.writeUInt32LE(overrides.status ?? 0, 8);
  message.writeUInt16LE(overrides.command ?? 0, 12);
  message.writeUInt32LE(overrides.flags ?? 1, 16);
  message.writeUInt16LE(overrides.size ?? 65, 64);
  message.writeUInt16LE(overrides.dialect ?? 0x0311, 68);
  message.write("behind CORE, 16", 72, "latin1");
  const packet = Buffer.alloc(4 + message.length);
  packet.writeUInt32BE(message.length, 0);
  message.copy(packet, 4);
  return packet;
}

const GUID = Buffer.from("behind CORE, 16\0", "latin1").toString("hex");

function readAll(bytes: Uint8Array, cuts: readonly number[] = []): NegotiateAnswer {
  const reader = createNegotiateReader();
  const bounds = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
  let answer: NegotiateAnswer = { kind: "need_more" };
  for (let index = 1; index < bounds.length; index += 1) {
    answer = reader.push(bytes.subarray(bounds[index - 1], bounds[index]));
  }
  return answer;
}

test("the request announces its own length, its dialects and 8-byte aligned contexts inside itself", () => {
  const guid = Uint8Array.from({ length: 16 }, (_, index) => index + 1);
  const packet = buildNegotiateRequest(guid);
  assert.equal(packet.readUInt32BE(0), packet.length - 4);
  const message = packet.subarray(4);
  assert.equal(message.subarray(0, 4).toString("latin1"), "\xfeSMB");
  const dialects = Array.from({ length: message.readUInt16LE(66) }, (_, index) =>
    message.readUInt16LE(100 + index * 2),
  );
  assert.deepEqual(dialects, [0x0202, 0x0210, 0x0300, 0x0302, 0x0311]);
  assert.deepEqual([...message.subarray(76, 92)], [...guid]);
  let offset = message.readUInt32LE(92);
  const types: number[] = [];
  for (let left = message.readUInt16LE(96); left > 0; left -= 1) {
    assert.equal(offset % 8, 0);
    types.push(message.readUInt16LE(offset));
    const end = offset + 8 + message.readUInt16LE(offset + 2);
    assert.ok(end <= message.length);
    offset = left === 1 ? end : (end + 7) & ~7;
  }
  assert.deepEqual(types, [1, 2]);
  assert.equal(offset, message.length);
});

test("an answer is read however it is cut, and only once enough of it is there", () => {
  const packet = negotiateAnswer();
  fc.assert(
    fc.property(fc.array(fc.nat(400), { maxLength: 12 }), (cuts) => {
      assert.deepEqual(readAll(packet, cuts), { kind: "negotiated", dialect: 0x0311, serverGuid: GUID });
    }),
  );
  for (let length = 0; length < 92; length += 1) {
    assert.equal(readAll(packet.subarray(0, length)).kind, "need_more", `${length} bytes`);
  }
  assert.equal(readAll(packet.subarray(0, 92)).kind, "negotiated");
});

test("garbage is never SMB, wherever it is cut, and at most 92 bytes are waited for", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 92, maxLength: 300 }),
      fc.array(fc.nat(300), { maxLength: 5 }),
      (bytes, cuts) => {
        assert.equal(readAll(bytes, cuts).kind, "not_smb");
      },
    ),
  );
});

test("one flipped byte in the fields behind the verdict is never an exception, and cuts never change the verdict", () => {
  const packet = negotiateAnswer();
  fc.assert(
    fc.property(
      fc.nat(packet.length - 1),
      fc.nat(255),
      fc.array(fc.nat(400), { maxLength: 4 }),
      (at, value, cuts) => {
        const changed = Buffer.from(packet);
        changed[at] = value;
        assert.equal(readAll(changed, cuts).kind, readAll(changed).kind);
      },
    ),
  );
});

test("a reply that is not an answer to NEGOTIATE is described", () => {
  const cases: [Uint8Array, RegExp][] = [
    [Buffer.from("SSH-2.0-OpenSSH_9.2\r\n"), /"SSH-2\.0-"/],
    [Buffer.from("HTTP/1.1 400 Bad Request\r\n"), /"HTTP\/1\.1"/],
    [Buffer.from([0x16, 0x03]), /bytes 1603/],
    [Buffer.from([0, 0, 0, 10]), /10 bytes/],
    [Buffer.from([0, 0xff, 0xff, 0xff]), /16777215 bytes/],
    [Buffer.from([0, 0, 0, 100, 0xff]), /SMB 1 only/],
    [Buffer.from([0, 0, 0, 100, 0xfd]), /not one of SMB 2/],
    [Buffer.from([0, 0, 0, 100, 0xfe, 0x53, 0x4d, 0x43]), /not one of SMB 2/],
    [negotiateAnswer({ command: 1 }), /not an answer to NEGOTIATE/],
    [negotiateAnswer({ flags: 0 }), /not an answer to NEGOTIATE/],
    [negotiateAnswer({ status: 0xc00000bb }), /0xC00000BB/],
    [negotiateAnswer({ dialect: 0x0999 }), /0x0999/],
    [negotiateAnswer({ size: 9 }), /dialect that was not offered/],
  ];
  for (const [bytes, detail] of cases) {
    const answer = readAll(bytes);
    assert.equal(answer.kind, "not_smb");
    if (answer.kind === "not_smb") assert.match(answer.detail, detail);
  }
});

test("each offered dialect, and the wildcard of old servers, is an answer", () => {
  for (const dialect of [0x0202, 0x0210, 0x0300, 0x0302, 0x0311, 0x02ff]) {
    assert.deepEqual(readAll(negotiateAnswer({ dialect })), {
      kind: "negotiated",
      dialect,
      serverGuid: GUID,
    });
  }
});

test("A10 an answer that ends before the ServerGuid belongs to a live server without it, and is not waited for", () => {
  for (const bodyBytes of [8, 23]) {
    const packet = negotiateAnswer().subarray(0, 4 + 64 + bodyBytes);
    packet.writeUInt32BE(packet.length - 4, 0);
    assert.deepEqual(readAll(packet), { kind: "negotiated", dialect: 0x0311, serverGuid: null });
  }
});
