// Bodies of requests that exist only here: what is received, what is refused, and what each leaves behind.
import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { test } from "node:test";
import { answerEarly } from "../../../src/runtime/http/answer-early.ts";
import { BodyIntake } from "../../../src/runtime/http/body-intake.ts";
import { createManualClock } from "../../support/manual-clock.ts";

const TOTAL = 1_000;

function rig() {
  const clock = createManualClock();
  const bodies = new BodyIntake(clock, TOTAL);
  const begin = (sender: string, limitBytes = TOTAL) => {
    // The intake uses only the headers and the events of a request.
    const request = Object.assign(new EventEmitter(), { headers: {} }) as IncomingMessage;
    const ends: string[] = [];
    bodies.receive({ request, limitBytes, sender, done: ({ kind }) => ends.push(kind) });
    return {
      ends,
      receive: (bytes: number) => request.emit("data", Buffer.alloc(bytes)),
      end: () => request.emit("end"),
      close: () => request.emit("close"),
    };
  };
  return { clock, begin };
}

test("E4 a body is refused or complete once, whatever comes after, and no longer counts", () => {
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
});

test("E4 too much all together is refused to the oldest body with bytes, and a large limit is above the total", () => {
  const { begin } = rig();
  const [empty, older, newer, other] = [begin("a"), begin("a"), begin("a"), begin("b")];
  older.receive(400);
  newer.receive(200);
  other.receive(500);
  assert.deepEqual(
    [empty, older, newer, other].map(({ ends }) => ends.join()),
    ["", "busy", "", ""],
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
  assert.deepEqual(
    [first, paid, second].map(({ ends }) => ends.join()),
    ["too_slow", "", ""],
  );
  await clock.advance(10_000);
  assert.deepEqual(
    [paid, second].map(({ ends }) => ends.join()),
    ["too_slow", "too_slow"],
  );
  await clock.advance(5_000);
  assert.equal(clock.pendingTimers, 0);
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
