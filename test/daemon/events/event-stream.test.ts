import assert from "node:assert/strict";
import { test } from "node:test";
import type { StreamEvent } from "../../../src/api/contract/contract.ts";
import { createEventStream } from "../../../src/daemon/events/event-stream.ts";
import { logTransition } from "../../../src/daemon/events/service-transitions.ts";
import { createShareMetrics } from "../../../src/daemon/events/share-metrics.ts";
import { EMPTY_SHARE_MEMORY } from "../../../src/reconcile/state-store.ts";
import { assertEach } from "../../support/assert-each.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { viewOf } from "../shares.ts";

function stream() {
  const events = createEventStream({ onListenerError: assert.ifError });
  const heard: string[] = [];
  const listener = (id: number, event: StreamEvent): void => void heard.push(`${id} ${nameOf(event)}`);
  return { events, heard, listener };
}

function transition(name: string): StreamEvent {
  return { kind: "transition", transition: { name } };
}

function nameOf(event: StreamEvent): string {
  return event.kind === "transition" ? event.transition.name : event.kind;
}

test("B8 ids begin with 1 and grow by one; a listener gets the events after it registers", () => {
  const { events, heard, listener } = stream();
  events.publish(transition("before"));
  events.listen(null, listener);
  events.publish(transition("one"));
  events.publish(transition("two"));
  assert.deepEqual(heard, ["2 one", "3 two"]);
});

test("B8 a listener that names its last event gets the events since then, then the new ones, without a gap or a duplicate", () => {
  const { events, heard, listener } = stream();
  for (const name of ["a", "b", "c"]) events.publish(transition(name));
  events.listen(1, listener);
  events.publish(transition("d"));
  assert.deepEqual(heard, ["2 b", "3 c", "4 d"]);
});

test("B8 a stream from 0 delivers every event, and does not report a gap before the first", () => {
  const { events, heard, listener } = stream();
  events.listen(0, listener);
  events.publish(transition("a"));
  events.listen(0, listener);
  assert.deepEqual(heard, ["1 a", "1 a"]);
});

test("B8 discarded events are reported as a gap, with the id to continue from; the oldest stored event is not one", () => {
  const { events, heard, listener } = stream();
  for (let count = 1; count <= 1001; count += 1) events.publish(transition(`e${count}`));
  events.listen(0, listener);
  assert.deepEqual(heard.splice(0), ["1001 gap"]);
  events.listen(1, listener);
  assert.equal(heard.length, 1000);
  assert.deepEqual([heard[0], heard.at(-1)], ["2 e2", "1001 e1001"]);
});

test("B8 an id from an earlier daemon's life is a gap, and new events are delivered", () => {
  const { events, heard, listener } = stream();
  events.publish(transition("a"));
  events.listen(500, listener);
  events.publish(transition("b"));
  assert.deepEqual(heard, ["1 gap", "2 b"]);
});

test("B8 an id from an earlier life is a gap, even before our first event", () => {
  const events = createEventStream({ idsAfter: 1_000_000, onListenerError: assert.ifError });
  const heard: string[] = [];
  const listener = (id: number, event: StreamEvent): void => void heard.push(`${id} ${nameOf(event)}`);
  events.listen(1, listener)();
  events.publish(transition("a"));
  events.listen(999_999, listener)();
  events.listen(1_000_000, listener)();
  events.listen(1_000_001, listener);
  events.publish(transition("b"));
  assert.deepEqual(heard, ["1000000 gap", "1000001 gap", "1000001 a", "1000002 b"]);
});

test("an event that a listener publishes has its own id, after the first", () => {
  const { events, heard, listener } = stream();
  events.listen(null, (_, event) => {
    if (nameOf(event) === "a") events.publish(transition("b"));
  });
  events.publish(transition("a"));
  events.listen(0, listener);
  assert.deepEqual(heard, ["1 a", "2 b"]);
});

test("E5 shares are measured by route, reachability, changes and moves, and forgotten with their configuration", () => {
  const engine = {
    names: ["CORE"],
    view: () => viewOf({ memory: { ...EMPTY_SHARE_MEMORY, activeInterface: "fallback" } }),
  };
  const { handle, measured } = createShareMetrics(engine, { of: () => ({}) });
  const moved = {
    share: "CORE",
    from: "tb",
    to: "fallback",
    host: "h",
    reason: "r",
    duration_ms: 1,
  } as const;
  handle({ name: "share.failover", ...moved });
  handle({ name: "share.failover", ...moved, moved: true });
  handle({ name: "share.error", share: "CORE", reason: "nothing of a move" });
  handle({ name: "share.recovered", ...moved, share: "GONE" });
  const values = () =>
    measured().flatMap(({ name, values: points }) =>
      points.map(({ labels, value }) => `${name} ${Object.values(labels).join(" ")} ${value}`),
    );
  assert.deepEqual(values(), [
    "mountaineer.share.route CORE fallback 1",
    "mountaineer.share.route.reachable CORE tb 0",
    "mountaineer.share.route.reachable CORE fallback 0",
    "mountaineer.share.changes CORE failover 2",
    "mountaineer.share.moves CORE 1",
  ]);
  engine.names = [];
  assert.deepEqual(values(), []);
  engine.names = ["CORE"];
  assert.ok(!values().some((line) => line.includes("changes")));
});

test("C3 a failed backend is a warning, a starting one is not", () => {
  const logger = createRecordingLogger();
  const phase = { name: "backend.phase", backend: "files", from: "Pending", took_ms: 3 } as const;
  const reason = "not set in the environment: TOKEN";
  logTransition(logger, { ...phase, to: "Failed", reason });
  logTransition(logger, { ...phase, to: "Initializing", reason: "it is being started" });
  logTransition(logger, { name: "config.applied", source: "file", generation: 2, sha256: "", summary: "" });
  assertEach(logger.lines, ({ level, message, fields }) => [level, message, fields["reason"]], [
    ["warn", "backend.phase", reason],
    ["info", "backend.phase", "it is being started"],
    ["info", "config.applied", undefined],
  ]);
});
