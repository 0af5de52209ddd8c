import assert from "node:assert/strict";
import test from "node:test";
import { describeDelta } from "../../../../src/network/listen/events/network-delta.ts";
import {
  buildDumpRequest,
  RtnetlinkReader,
} from "../../../../src/network/listen/linux/rtnetlink-messages.ts";
import { fc } from "../../../support/properties.ts";

// As a Linux 6.18 kernel sent them: 10.9.1.2/24 on tb0 (index 2), its routes, its end.
const NEW_ADDRESS =
  "4c000000140000001b05006b852f00000218800002000000080001000a090102080002000a0901020800030074623000080008008000000014000600ffffffffffffffffb4700200b4700200";
const DELETE_ADDRESS =
  "4c000000150000001b05006b8b2f00000218800002000000080001000a090102080002000a0901020800030074623000080008008000000014000600ffffffffffffffffb4700200b4700200";
const NEW_LOCAL_ROUTE =
  "3c00000018000006000000000000000002200000ff02fe020000000008000f00ff000000080001000a090102080007000a0901020800040002000000";
const NEW_MAIN_ROUTE =
  "3c00000018000006000000000000000002180000fe02fd011000000008000f00fe000000080001000a090100080007000a0901020800040002000000";
const NEW_MULTICAST_ROUTE =
  "740000001800000600000000000000000a080000ff0200050000000008000f00ff00000014000100ff0000000000000000000000000000000800060000010000080004000200000024000c0000000000000000000000000000000000000000000000000000000000000000000500140000000000";
const NEW_LINK_LOCAL_ROUTE =
  "740000001800000600000000000000000a400000fe0200010000000008000f00fe00000014000100fe8000000000000000000000000000000800060000010000080004000200000024000c0000000000000000000000000000000000000000000000000000000000000000000500140000000000";

const NEW_LINK = 16;
const DELETE_LINK = 17;
const UP = 0x1003;
const RUNNING = 0x11043;
const DOWN = 0x1002;

function message(type: number, payload: Uint8Array, sequence = 0): Buffer {
  const bytes = Buffer.alloc(16 + payload.length);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt16LE(type, 4);
  bytes.writeUInt32LE(sequence, 8);
  bytes.set(payload, 16);
  return bytes;
}

function attribute(type: number, value: Uint8Array): Buffer {
  const bytes = Buffer.alloc((4 + value.length + 3) & ~3);
  bytes.writeUInt16LE(4 + value.length, 0);
  bytes.writeUInt16LE(type, 2);
  bytes.set(value, 4);
  return bytes;
}

function link(type: number, name: string, flags: number, index = 2, family = 0): Buffer {
  const head = Buffer.alloc(16);
  head.writeUInt8(family, 0);
  head.writeInt32LE(index, 4);
  head.writeUInt32LE(flags, 8);
  return message(type, Buffer.concat([head, attribute(3, Buffer.from(`${name}\0`))]));
}

function address6(type: number, bytes: string, flags: number, index = 2): Buffer {
  const head = Buffer.from([10, 64, flags & 0xff, 253, index, 0, 0, 0]);
  const flagBytes = Buffer.alloc(4);
  flagBytes.writeUInt32LE(flags, 0);
  return message(
    type,
    Buffer.concat([head, attribute(1, Buffer.from(bytes, "hex")), attribute(8, flagBytes)]),
  );
}

function done(sequence: number): Buffer {
  return message(3, Buffer.alloc(4), sequence);
}

function say(reader: RtnetlinkReader, ...datagrams: (Buffer | string)[]): string[] {
  return datagrams.flatMap((datagram) =>
    reader
      .read(typeof datagram === "string" ? Buffer.from(datagram, "hex") : datagram)
      .deltas.map(describeDelta),
  );
}

/** A reader that knows tb0 in the given state. */
function readerKnowing(flags: number): RtnetlinkReader {
  const reader = new RtnetlinkReader();
  reader.expectDump("links", 1);
  assert.deepEqual(say(reader, link(NEW_LINK, "tb0", flags)), [], "the first dump only teaches");
  assert.equal(reader.read(done(1)).dumpEnded, 1);
  reader.expectDump("addresses", 2);
  assert.equal(reader.read(done(2)).dumpEnded, 2);
  return reader;
}

test("A3 carrier and being set up or down are told apart, and a repeated state is no delta", () => {
  const reader = readerKnowing(RUNNING);
  assert.deepEqual(say(reader, link(NEW_LINK, "tb0", RUNNING)), []);
  assert.deepEqual(say(reader, link(NEW_LINK, "tb0", UP)), ["tb0 lost carrier"]);
  assert.deepEqual(say(reader, link(NEW_LINK, "tb0", UP)), []);
  assert.deepEqual(say(reader, link(NEW_LINK, "tb0", DOWN)), ["tb0 went down"]);
  assert.deepEqual(say(reader, link(NEW_LINK, "tb0", UP), link(NEW_LINK, "tb0", RUNNING)), [
    "tb0 went up",
    "tb0 gained carrier",
  ]);
  assert.deepEqual(say(reader, link(NEW_LINK, "tb0", DOWN)), ["tb0 went down"]);
  assert.deepEqual(say(reader, link(DELETE_LINK, "tb0", DOWN), link(DELETE_LINK, "tb0", DOWN)), [
    "tb0 was removed",
  ]);
  assert.deepEqual(say(reader, link(NEW_LINK, "tb0", RUNNING, 9)), ["tb0 was added"]);
});

test("a rename is one link less and one more; a bridge port's own messages are about the bridge", () => {
  const reader = readerKnowing(RUNNING);
  assert.deepEqual(say(reader, link(NEW_LINK, "tb7", RUNNING)), ["tb0 was removed", "tb7 was added"]);
  assert.deepEqual(say(reader, link(DELETE_LINK, "tb7", RUNNING, 2, 7)), []);
  assert.deepEqual(say(reader, link(NEW_LINK, "tb7", RUNNING)), []);
});

test("A3 addresses as the kernel writes them: added once, removed once", () => {
  const reader = readerKnowing(RUNNING);
  assert.deepEqual(say(reader, NEW_ADDRESS, NEW_ADDRESS), ["tb0 got address 10.9.1.2"]);
  assert.deepEqual(say(reader, DELETE_ADDRESS, DELETE_ADDRESS), ["tb0 lost address 10.9.1.2"]);
});

test("an IPv6 address counts once it is known to be the only one of its kind", () => {
  const reader = readerKnowing(RUNNING);
  const bytes = "fd000000000000000000000000000005";
  assert.deepEqual(say(reader, address6(20, bytes, 0xc0)), [], "tentative");
  assert.deepEqual(say(reader, address6(20, bytes, 0x80)), ["tb0 got address fd00::5"]);
  assert.deepEqual(say(reader, address6(21, bytes, 0x80)), ["tb0 lost address fd00::5"]);
  assert.deepEqual(say(reader, address6(20, bytes, 0x08)), [], "a double was found");
  assert.deepEqual(say(reader, address6(20, bytes, 0x44)), ["tb0 got address fd00::5"], "optimistic");
  assert.deepEqual(say(reader, address6(20, bytes, 0x80, 77)), [], "of a link that is not known");
});

test("A3 routes of the main table are deltas; local, multicast and link-local ones are noise", () => {
  const reader = readerKnowing(RUNNING);
  assert.deepEqual(say(reader, NEW_MAIN_ROUTE), ["route to 10.9.1.0/24 by tb0 added"]);
  assert.deepEqual(say(reader, NEW_LOCAL_ROUTE, NEW_MULTICAST_ROUTE, NEW_LINK_LOCAL_ROUTE), []);
  const removed = Buffer.from(NEW_MAIN_ROUTE, "hex");
  removed.writeUInt16LE(25, 4);
  assert.deepEqual(say(reader, removed), ["route to 10.9.1.0/24 by tb0 removed"]);
  const cloned = Buffer.from(NEW_MAIN_ROUTE, "hex");
  cloned.writeUInt32LE(0x200, 24);
  assert.deepEqual(say(reader, cloned), []);
  const byDefault = Buffer.from(NEW_MAIN_ROUTE, "hex");
  byDefault.writeUInt8(0, 17);
  assert.deepEqual(say(reader, byDefault), ["default route by tb0 added"]);
});

test("A3 a dump after an overflow tells what was missed", () => {
  const reader = readerKnowing(RUNNING);
  say(reader, NEW_ADDRESS, link(NEW_LINK, "eth0", RUNNING, 3));
  reader.expectDump("links", 7);
  assert.deepEqual(say(reader, link(NEW_LINK, "tb0", UP), link(NEW_LINK, "usb0", RUNNING, 4)), [
    "tb0 lost carrier",
    "usb0 was added",
  ]);
  assert.equal(reader.read(done(6)).dumpEnded, null, "another dump's end");
  assert.deepEqual(say(reader, done(7)), ["eth0 was removed"]);
  reader.expectDump("addresses", 8);
  assert.deepEqual(say(reader, done(8)), ["tb0 lost address 10.9.1.2"]);
  assert.deepEqual(say(reader, NEW_ADDRESS), ["tb0 got address 10.9.1.2"]);
});

test("a refused dump ends without removing what it did not name", () => {
  const reader = readerKnowing(RUNNING);
  reader.expectDump("links", 9);
  const refused = reader.read(message(2, Buffer.alloc(20), 9));
  assert.deepEqual(refused, { deltas: [], dumpEnded: 9 });
  assert.deepEqual(say(reader, link(NEW_LINK, "tb0", RUNNING)), []);
});

test("several messages in one datagram are read in order, up to the first that does not fit", () => {
  const reader = readerKnowing(RUNNING);
  const lost = link(NEW_LINK, "tb0", UP);
  const torn = link(NEW_LINK, "tb0", RUNNING).subarray(0, 30);
  assert.deepEqual(say(reader, Buffer.concat([lost, Buffer.from(NEW_ADDRESS, "hex"), torn])), [
    "tb0 lost carrier",
    "tb0 got address 10.9.1.2",
  ]);
});

test("garbage never throws and never loops", () => {
  const types = fc.constantFrom(2, 3, 16, 17, 20, 21, 24, 25, 99);
  fc.assert(
    fc.property(
      types,
      fc.uint8Array({ maxLength: 200 }),
      fc.uint8Array({ maxLength: 60 }),
      (type, payload, tail) => {
        const reader = readerKnowing(RUNNING);
        reader.expectDump("links", 3);
        reader.read(message(type, payload, 3));
        reader.read(Buffer.concat([message(type, payload), tail]));
        reader.read(tail);
      },
    ),
  );
});

test("any byte of a real message changed, or its end cut off, never throws", () => {
  const real = fc.constantFrom(
    NEW_ADDRESS,
    NEW_MAIN_ROUTE,
    NEW_MULTICAST_ROUTE,
    link(NEW_LINK, "tb0", UP).toString("hex"),
  );
  fc.assert(
    fc.property(real, fc.nat(200), fc.nat(255), fc.nat(200), (hex, at, value, length) => {
      const bytes = Buffer.from(hex, "hex");
      bytes[at % bytes.length] = value;
      readerKnowing(RUNNING).read(bytes.subarray(0, length));
    }),
    { numRuns: 500 },
  );
});

test("a dump request asks for all links or all addresses under its sequence number", () => {
  const links = buildDumpRequest("links", 5);
  assert.deepEqual(
    [links.readUInt32LE(0), links.readUInt16LE(4), links.readUInt16LE(6), links.readUInt32LE(8)],
    [32, 18, 0x301, 5],
  );
  assert.equal(buildDumpRequest("addresses", 6).readUInt16LE(4), 22);
});
