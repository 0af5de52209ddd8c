// Event streams and operations under way, with a response that the test reads, or does not.
import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { test } from "node:test";
import type { FlowEvent, StreamEvent } from "../../../src/api/contract/contract.ts";
import { OWNER_RIGHTS } from "../../../src/api/operations/operation.ts";
import type { MatchedOperation } from "../../../src/api/operations/operations.ts";
import { createEventStreams } from "../../../src/api/server/event-streams.ts";
import { createPerformer } from "../../../src/api/server/performing.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";

class Reader extends EventEmitter {
  readonly frames: string[] = [];
  isSlow = false;
  destroyed = false;
  hasEnded = false;
  processing = 0;
  writeHead(): void {}
  writeProcessing(): void {
    this.processing += 1;
  }
  write(frame: string): boolean {
    assert.equal(this.hasEnded, false, "nothing is written after the end");
    this.frames.push(frame);
    return !this.isSlow;
  }
  end(frame: string): void {
    assert.equal(this.hasEnded, false, "it ends once");
    if (frame !== "") this.write(frame);
    this.hasEnded = true;
  }
  destroy(): void {
    this.destroyed = true;
    this.emit("close");
  }
  as(): ServerResponse {
    // Only these members are used.
    return this as unknown as ServerResponse;
  }
}

const GAP: StreamEvent = { kind: "gap" };
const FLOW: FlowEvent = { kind: "flow", shares: [], backends: [], clients: [] };
const LARGE: StreamEvent = { kind: "transition", transition: { name: "x".repeat(512 * 1024) } };

function setUp(replay: readonly StreamEvent[] = []) {
  const clock = createManualClock();
  const logger = createRecordingLogger();
  const reader = new Reader();
  let isIn = true;
  let tell: ((event: StreamEvent) => void) | null = null;
  let flow: ((event: FlowEvent) => void) | null = null;
  const events = {
    listen(_: number | null, listener: (id: number, event: StreamEvent) => void) {
      let id = 0;
      for (const event of replay) listener(++id, event);
      tell = (event) => listener(++id, event);
      return () => {
        tell = null;
      };
    },
    flow(listener: (event: FlowEvent) => void) {
      flow = listener;
      return () => {
        flow = null;
      };
    },
  };
  const streams = createEventStreams({ events, clock, logger });
  return {
    clock,
    reader,
    streams,
    serve() {
      const request = { headers: {}, url: "/events?flow" } as unknown as IncomingMessage;
      streams.serve(request, reader.as(), () => isIn);
    },
    leave() {
      isIn = false;
    },
    tell: (event: StreamEvent) => tell?.(event),
    flow: () => flow?.(FLOW),
    isHeard: () => tell !== null,
    isCounted: () => flow !== null,
    drops: () => logger.lines.filter(({ level }) => level === "warn").length,
  };
}

test("E2 a reader who is no longer signed in gets no heartbeat, event or counter, but the end", async () => {
  for (const what of ["heartbeat", "event", "counter", "replay"] as const) {
    const rig = setUp([GAP, GAP]);
    if (what === "replay") rig.leave();
    rig.serve();
    const before = what === "replay" ? 1 : 3;
    rig.leave();
    if (what === "heartbeat") await rig.clock.advance(15_000);
    if (what === "event") rig.tell(GAP);
    if (what === "counter") rig.flow();
    assert.deepEqual([rig.reader.hasEnded, rig.reader.frames.length], [true, before], what);
    assert.equal(rig.isHeard(), false, what);
    rig.flow();
    rig.streams.end();
    await rig.clock.advance(10_000);
    assert.equal(rig.reader.destroyed, true, what);
    assert.equal(rig.clock.pendingTimers, 0, what);
  }
});

test("a slow reader gets all events without heartbeats and counters, and has space again once it has read", async () => {
  const rig = setUp();
  rig.reader.isSlow = true;
  rig.serve();
  const { frames } = rig.reader;
  assert.equal(frames.length, 1);
  await rig.clock.advance(15_000);
  rig.flow();
  for (let round = 0; round < 3; round += 1) {
    for (let count = 0; count < 3; count += 1) rig.tell(LARGE);
    assert.equal(frames.length, 1 + 3 * round);
    rig.reader.isSlow = false;
    rig.reader.emit("drain");
    assert.equal(frames.length, 4 + 3 * round);
    rig.reader.isSlow = true;
    rig.reader.emit("drain");
    await rig.clock.advance(15_000);
    assert.equal(frames.length, 5 + 3 * round, "a heartbeat");
    frames.pop();
  }
  assert.equal(rig.drops(), 0);
});

test("a stream that the daemon ends gets nothing further, and does not shorten its reader's time", async () => {
  const rig = setUp();
  rig.serve();
  rig.streams.end();
  rig.tell(GAP);
  rig.flow();
  rig.streams.end();
  await rig.clock.advance(9_999);
  assert.deepEqual([rig.reader.frames.length, rig.reader.destroyed], [1, false]);
  rig.reader.emit("close");
  assert.equal(rig.clock.pendingTimers, 0);
});

function asked(operation: MatchedOperation, reader = new Reader()) {
  const { signal } = new AbortController();
  const admit = () => OWNER_RIGHTS;
  return { operation, body: "", admit, response: reader.as(), signal, isPatient: false };
}

function operationOf(call: (signal: AbortSignal) => unknown): MatchedOperation {
  return { method: "POST", counts: "calls", bodyLimitBytes: 1, prepare: () => call };
}

test("an operation sends a sign of life every 2 s while it runs, unless its client is patient or has left", async () => {
  for (const what of ["answers", "patient", "gone"] as const) {
    const clock = createManualClock();
    const performer = createPerformer({ clock, stopping: new AbortController().signal });
    const reader = new Reader();
    const gone = new AbortController();
    const work = Promise.withResolvers<string>();
    const operation = operationOf(() => work.promise);
    const isPatient = what === "patient";
    const answer = performer.perform({ ...asked(operation, reader), signal: gone.signal, isPatient });
    await clock.advance(what === "patient" ? 4_000 : 2_000);
    if (what === "gone") gone.abort();
    await clock.advance(2_000);
    assert.equal(reader.processing, { answers: 2, patient: 0, gone: 1 }[what], what);
    work.resolve("done");
    assert.equal(await answer, "done");
    assert.deepEqual([clock.pendingTimers, await performer.whenIdle()], [0, []], what);
  }
});

test("once the daemon stops, no operation is begun", async () => {
  const performer = createPerformer({ clock: createManualClock(), stopping: AbortSignal.abort() });
  const begun = operationOf(() => assert.fail("it was begun"));
  for (const counts of [begun.counts, null]) {
    const refused = { code: "daemon_unreachable", retry: "later", message: /nothing was done/ };
    await assert.rejects(performer.perform(asked({ ...begun, counts })), refused);
  }
});
