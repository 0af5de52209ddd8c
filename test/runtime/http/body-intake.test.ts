// Bodies of requests that exist only here: what is received, what is refused, and what each leaves behind.
import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { test } from "node:test";
import { answerEarly, awaitsMuch } from "../../../src/runtime/http/answer-early.ts";
import { BodyIntake } from "../../../src/runtime/http/body-intake.ts";
import { assertEach } from "../../support/assert-each.ts";
import { createManualClock } from "../../support/manual-clock.ts";

const TOTAL = 1_000;

function rig() {
  const clock = createManualClock();
  const bodies = new BodyIntake(clock, TOTAL);
  const begin = (sender: string, limitBytes = TOTAL, headers = {}) => {
    // The intake uses only the headers and the events of a request.
    const request = Object.assign(new EventEmitter(), { headers }) as IncomingMessage;
    const ends: string[] = [];
    bodies.receive({ request, limitBytes, sender, done: ({ kind }) => ends.push(kind) });
    return {
      ends,
      receive: (bytes: number) => request.emit("data", Buffer.alloc(bytes)),
      end: () => request.emit("end"),
      close: () => request.emit("close"),
    };
  };
  return { clock, bodies, begin };
}

test("E4 a body is refused or complete once, whatever arrives afterwards, and no longer counts", () => {
  const { begin } = rig();
  const large = begin("a", 500);
  large.receive(501);
  large.receive(400);
  const gone = begin("a");
  gone.receive(900);
  gone.close();
  gone.end();
  assert.deepEqual(gone.ends, [], "the client has left");
  const whole = begin("a");
  whole.receive(900);
  whole.end();
  whole.close();
  const next = begin("b");
  next.receive(TOTAL);
  next.end();
  assert.deepEqual([...whole.ends, ...next.ends], ["whole", "whole"], "nothing else was counted");
  large.end();
  large.close();
  assert.deepEqual(large.ends, ["too_large"]);
  const [one, two] = [begin("a"), begin("b")];
  one.receive(501);
  two.receive(500);
  assert.deepEqual([...one.ends, ...two.ends], ["busy"], "and none counts for less than nothing");
});

test("E4 a body that is declared too large is refused before any of it arrives", () => {
  const { clock, begin } = rig();
  const large = begin("a", 500, { "content-length": "501" });
  assert.deepEqual(large.ends, ["too_large"]);
  assert.equal(clock.pendingTimers, 0, "nothing is waited for");
  large.receive(501);
  const whole = begin("a", 500, { "content-length": "500" });
  whole.receive(500);
  whole.end();
  assert.deepEqual([...large.ends, ...whole.ends], ["too_large", "whole"]);
});

test("E4 too many bytes in total are refused to the oldest body with bytes, and a large limit is above the total", () => {
  const { begin } = rig();
  const [empty, older, newer, other] = [begin("a"), begin("a"), begin("a"), begin("b")];
  older.receive(400);
  newer.receive(200);
  other.receive(500);
  assertEach([empty, older, newer, other], ({ ends }) => ends.join(), ["", "busy", "", ""]);
  const fair = rig();
  const [small, ...large] = [fair.begin("a"), fair.begin("b"), fair.begin("b")];
  small?.receive(350);
  for (const body of large) body.receive(330);
  assertEach(
    [small, ...large],
    (body) => body?.ends.join(),
    ["", "busy", ""],
    "the sender with the most bytes, not the first",
  );
  const alone = rig().begin("a", 2 * TOTAL);
  alone.receive(2 * TOTAL);
  alone.end();
  assert.deepEqual(alone.ends, ["whole"]);
});

test("E4 each body has time for its size, and a slow one is refused after others were", async () => {
  const { clock, begin } = rig();
  const [first, paid] = [begin("a"), begin("b", 128 * 1024)];
  paid.receive(128 * 1024);
  await clock.advance(10_000);
  const second = begin("a");
  await clock.advance(10_000);
  assertEach([first, paid, second], ({ ends }) => ends.join(), ["too_slow", "", ""]);
  await clock.advance(10_000);
  assertEach([paid, second], ({ ends }) => ends.join(), ["too_slow", "too_slow"]);
  await clock.advance(5_000);
  assert.equal(clock.pendingTimers, 0);
});

test("E4 after its end an intake checks no speed, and still receives", async () => {
  const { clock, bodies, begin } = rig();
  const slow = begin("a");
  bodies[Symbol.dispose]();
  await clock.advance(60_000);
  slow.end();
  assert.deepEqual(slow.ends, ["whole"]);
});

test("E4 only a refused body of more than 64 KiB, or of unknown size, is answered early", () => {
  // Only the headers and whether the body is complete are read.
  for (const [headers, complete, isMuch] of [
    [{}, false, false],
    [{ "content-length": "65536" }, false, false],
    [{ "content-length": "65537" }, false, true],
    [{ "content-length": "65537" }, true, false],
    [{ "transfer-encoding": "chunked" }, false, true],
  ] as const)
    assert.equal(
      awaitsMuch({ headers, complete } as unknown as IncomingMessage),
      isMuch,
      JSON.stringify(headers),
    );
});

const MEBIBYTES_128 = 128 * 1024 * 1024;

for (const [what, go] of [
  ["its end", (request: EventEmitter) => request.emit("end")],
  ["the client's leave", (request: EventEmitter) => request.emit("close")],
  ["more than 128 MiB of it", (request: EventEmitter) => request.emit("data", { length: MEBIBYTES_128 + 1 })],
  ["ten seconds", (_: EventEmitter, advance: (ms: number) => Promise<void>) => advance(10_000)],
] as const) {
  test(`E4 an early answer to an unread body ends at ${what}`, async () => {
    const clock = createManualClock();
    const request = Object.assign(new EventEmitter(), { resume() {} });
    const written: unknown[] = [];
    const response = {
      writeHead: (status: number) => written.push(status),
      write: (text: string) => written.push(text),
      end: () => written.push("end"),
    };
    // Both sides are used only as far as they are imitated here.
    answerEarly(clock, request as IncomingMessage, response as unknown as ServerResponse, {
      ...{ status: 413, headers: {}, text: "too large" },
    });
    request.emit("data", { length: MEBIBYTES_128 });
    await clock.advance(9_999);
    assert.deepEqual(written, [413, "too large"]);
    await go(request, clock.advance);
    assert.deepEqual(written, [413, "too large", "end"]);
    assert.equal(clock.pendingTimers, 0);
  });
}
