// Frames are told apart wherever the stream is cut, and nothing but headers is looked at.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { commandOfFrame, FrameReader, isOnlyBegun } from "../../../src/carrier/smb/smb-frames.ts";
import { fc } from "../../support/properties.ts";
import { ANSWER, COMMAND, encrypted, frame, type Message, opening, request, wrap } from "../smb-messages.ts";

interface Seen {
  readonly events: string[];
  push(bytes: Buffer, oneFrame?: boolean): number;
  readonly atBoundary: () => boolean;
  readonly broken: () => boolean;
}

function reader(): Seen {
  const events: string[] = [];
  const frames = new FrameReader({
    message: (command, flags, messageId, status) =>
      void events.push(`${command} ${flags} ${messageId} ${status}`),
    opens: ({ access, disposition, options, isRoot }) =>
      void events.push(
        `opens ${access.toString(16)} ${disposition} ${options.toString(16)}${isRoot ? " root" : ""}`,
      ),
    opaque: () => void events.push("opaque"),
    frameEnd: () => void events.push("end"),
  });
  return {
    events,
    push: (bytes, oneFrame = false) => frames.push(bytes, 0, oneFrame),
    atBoundary: () => frames.atBoundary,
    broken: () => frames.broken,
  };
}

describe("the reader of frames", () => {
  test("A10 sees command, flags, message id and status of a message", () => {
    const seen = reader();
    seen.push(frame({ command: COMMAND.read, messageId: 2 ** 33 + 5, flags: ANSWER, status: 0x103 }));
    assert.deepEqual(seen.events, [`8 1 ${2 ** 33 + 5} 259`, "end"]);
    assert.equal(seen.atBoundary(), true);
  });

  test("A10 sees what a CREATE asks for, unless it is cut short", () => {
    const seen = reader();
    seen.push(opening(1, { access: 0x8012_0089, disposition: 3, options: 0x1040 }));
    seen.push(request(COMMAND.create, 2, Buffer.alloc(47)));
    // What follows one that is cut short is no part of it.
    seen.push(encrypted());
    assert.deepEqual(seen.events, [
      "5 0 1 0",
      "opens 80120089 3 1040 root",
      "end",
      "5 0 2 0",
      "end",
      "opaque",
      "end",
    ]);
  });

  test("A10 sees every message of a compound", () => {
    const seen = reader();
    seen.push(
      frame(
        { command: COMMAND.create, messageId: 1, body: Buffer.alloc(13) },
        { command: COMMAND.queryDirectory, messageId: 2, body: Buffer.alloc(0) },
        { command: 6, messageId: 3, body: Buffer.alloc(0) },
      ),
    );
    assert.deepEqual(seen.events, ["5 0 1 0", "14 0 2 0", "6 0 3 0", "end"]);
  });

  test("A10 counts encrypted and compressed frames without looking into them", () => {
    const seen = reader();
    const compressed = encrypted();
    compressed[4] = 0xfc;
    seen.push(Buffer.concat([encrypted(), compressed]));
    assert.deepEqual(seen.events, ["opaque", "end", "opaque", "end"]);
  });

  test("A10 lets frames pass that are malformed, and gives up on a stream that is none of SMB's", () => {
    const seen = reader();
    // Too short for a header; a compound that points behind its end; nothing at all; a keep-alive.
    seen.push(wrap(Buffer.from("\xfeSMB", "latin1")));
    const beyond = frame({ command: 1, messageId: 9 });
    beyond.writeUInt32LE(4_000_000, 4 + 20);
    seen.push(beyond);
    seen.push(wrap(Buffer.alloc(0)));
    seen.push(Buffer.from([0x85, 0, 0, 0]));
    assert.deepEqual(seen.events, ["opaque", "end", "1 0 9 0", "end", "end", "end"]);
    assert.equal(seen.broken(), false);
    seen.push(Buffer.from("GET / HTTP/1.1\r\n"));
    assert.equal(seen.broken(), true);
  });

  test("A10 stops after each frame when it is asked to", () => {
    const seen = reader();
    const first = request(COMMAND.read, 1);
    const both = Buffer.concat([first, request(COMMAND.read, 2)]);
    assert.equal(seen.push(both.subarray(0, 30), true), 30);
    assert.equal(seen.atBoundary(), false);
    assert.equal(seen.push(both.subarray(30), true), first.length - 30);
    assert.equal(seen.atBoundary(), true);
    assert.deepEqual(seen.events, ["8 0 1 0", "end"]);
  });

  test("A10 tells a frame's command once enough of it is there", () => {
    const whole = request(COMMAND.write, 7);
    assert.equal(commandOfFrame(whole.subarray(0, 67)), undefined);
    assert.equal(commandOfFrame(whole), COMMAND.write);
    assert.equal(commandOfFrame(encrypted()), null);
  });

  test("A10 tells a frame that has only begun from one whose command is there", () => {
    const whole = request(COMMAND.write, 7, Buffer.alloc(100));
    for (const length of [1, 4, 67]) assert.equal(isOnlyBegun(whole.subarray(0, length)), true, `${length}`);
    for (const length of [0, 68, 100])
      assert.equal(isOnlyBegun(whole.subarray(0, length)), false, `${length}`);
    assert.equal(isOnlyBegun(Buffer.from([0x85, 0, 0, 0])), false, "a keep-alive");
    assert.equal(isOnlyBegun(wrap(Buffer.alloc(10))), false, "a short frame that is there");
  });

  test("A10 however a stream is cut into pieces, it reads the same", () => {
    const message = fc.record({
      command: fc.nat(18),
      messageId: fc.maxSafeNat(),
      flags: fc.nat(7),
      status: fc.nat(0xffff),
      body: fc.uint8Array({ maxLength: 90 }).map((bytes) => Buffer.from(bytes)),
    });
    const frames = fc.array(
      fc.oneof(
        fc.array(message, { minLength: 1, maxLength: 4 }).map((list: Message[]) => frame(...list)),
        fc.constant(encrypted(70)),
        fc.constant(wrap(Buffer.alloc(0))),
      ),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(frames, fc.array(fc.nat(1_000), { maxLength: 30 }), fc.boolean(), (list, cuts, one) => {
        const stream = Buffer.concat(list);
        const whole = reader();
        whole.push(stream);
        const pieces = reader();
        const at = [...new Set(cuts.map((cut) => cut % (stream.length + 1)))].sort((a, b) => a - b);
        let from = 0;
        for (const to of [...at, stream.length]) {
          // As whoever holds back does: what it did not take is given again.
          while (from < to) from += pieces.push(stream.subarray(from, to), one);
        }
        assert.deepEqual(pieces.events, whole.events);
        assert.equal(pieces.atBoundary(), true);
        assert.equal(whole.events.filter((event) => event === "end").length, list.length);
      }),
    );
  });
});
