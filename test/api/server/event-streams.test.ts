import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { HEARTBEAT_MS } from "../../../src/api/contract.ts";
import { LISTENER_LIMIT } from "../../../src/api/server/event-streams.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { passTimeUntil } from "../../support/pass-time.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { get, post, startRig, talk } from "../management-rig.ts";
import { sampleSyncEvent, sampleSyncState, scriptedConfig } from "../sample-config.ts";

const STREAM = "events/stream";

interface Listening {
  readonly socket: Socket;
  text(): string;
  readonly closed: Promise<unknown>;
}

function listenTo(t: TestContext, socketPath: string, headers = ""): Listening {
  const socket = connect(socketPath, () =>
    socket.write(`GET /manage/v1/${STREAM} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`),
  );
  t.after(() => socket.destroy());
  let text = "";
  socket.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  socket.on("error", () => {});
  return { socket, text: () => text, closed: once(socket, "close") };
}

/** The frames of a chunked answer, as [id, data]. */
function framesOf(text: string): [string, unknown][] {
  return [...text.matchAll(/id: (\d+)\ndata: (.*)\n\n/g)].map(([, id = "", data = ""]) => [
    id,
    JSON.parse(data),
  ]);
}

test("B8 events reach every listener as they happen, with ids", async (t) => {
  const config = scriptedConfig();
  const { server } = await startRig(t, { config });
  const [one, two] = [listenTo(t, server.socketPath), listenTo(t, server.socketPath)];
  await eventually(() => config.listenerCount === 2);
  const sync = { kind: "sync", event: sampleSyncEvent({ details: "zwei\nZeilen 🎬" }) } as const;
  config.emit(sync);
  config.emit(sampleSyncState());
  for (const listening of [one, two]) {
    await eventually(() => framesOf(listening.text()).length === 2);
    assert.match(listening.text(), /^HTTP\/1.1 200 OK\r\nContent-Type: text\/event-stream/);
    assert.deepEqual(framesOf(listening.text()), [
      ["1", sync],
      ["2", sampleSyncState()],
    ]);
  }
});

test("with Last-Event-ID what came after it is told first, in one row with what comes then", async (t) => {
  const config = scriptedConfig();
  const { server } = await startRig(t, { config });
  for (let id = 1; id <= 5; id++) config.emit({ kind: "sync", event: sampleSyncEvent({ id }) });
  const listening = listenTo(t, server.socketPath, "Last-Event-ID: 3\r\n");
  await eventually(() => config.listenerCount === 1);
  config.emit(sampleSyncState());
  await eventually(() => framesOf(listening.text()).length === 3);
  assert.deepEqual(
    framesOf(listening.text()).map(([id]) => id),
    ["4", "5", "6"],
  );
});

test("a Last-Event-ID that is none, another method, and a server without configuration are refused in JSON", async (t) => {
  const { server } = await startRig(t, { config: scriptedConfig() });
  const bad = await talk(
    server.socketPath,
    `GET /manage/v1/${STREAM} HTTP/1.1\r\nHost: x\r\nLast-Event-ID: x\r\n\r\n`,
  );
  assert.deepEqual([bad.status, JSON.parse(bad.body).error.code], [400, "protocol"]);
  const posted = await talk(server.socketPath, post(STREAM, "{}"));
  assert.equal(posted.status, 405);
  assert.match(posted.headers, /allow: GET/i);
  const { server: without } = await startRig(t);
  assert.equal((await talk(without.socketPath, get(STREAM))).status, 404);
  assert.equal((await talk(without.socketPath, get("sync"))).status, 404);
});

test("a stream without events shows every 15 s that it lives", async (t) => {
  const clock = createManualClock();
  const config = scriptedConfig();
  const { server } = await startRig(t, { config, clock });
  const listening = listenTo(t, server.socketPath);
  await eventually(() => listening.text().includes(": connected"));
  const beats = () => listening.text().match(/^:\n\n/gm)?.length ?? 0;
  for (let beat = 1; beat <= 3; beat++) {
    await clock.advance(HEARTBEAT_MS);
    await eventually(() => beats() === beat);
  }
});

test("whoever goes is forgotten, timers and all", async (t) => {
  const clock = createManualClock();
  const config = scriptedConfig();
  const { server } = await startRig(t, { config, clock });
  const listening = listenTo(t, server.socketPath);
  await eventually(() => config.listenerCount === 1 && clock.pendingTimers === 1);
  listening.socket.destroy();
  await eventually(() => config.listenerCount === 0 && clock.pendingTimers === 0);
});

test("a reader that is too slow is dropped with a gap, whose id is where to go on; others are not", async (t) => {
  const config = scriptedConfig();
  const logger = createRecordingLogger();
  const { server } = await startRig(t, { config, logger });
  const slow = listenTo(t, server.socketPath);
  const quick = listenTo(t, server.socketPath);
  await eventually(() => config.listenerCount === 2 && slow.text().includes(": connected"));
  slow.socket.pause();
  const details = "x".repeat(50_000);
  let emitted = 0;
  await eventually(() => {
    config.emit({ kind: "sync", event: sampleSyncEvent({ details }) });
    emitted += 1;
    return config.listenerCount === 1;
  });
  assert.ok(emitted > 40, `dropped after ${emitted}`);
  await eventually(() => framesOf(quick.text()).length === emitted);
  slow.socket.resume();
  await slow.closed;
  const frames = framesOf(slow.text());
  assert.deepEqual(frames.at(-1), [String(emitted), { kind: "gap" }]);
  // What came before the gap is whole and in order.
  assert.deepEqual(
    frames.slice(0, -1).map(([id]) => id),
    frames.slice(0, -1).map((_, index) => String(index + 1)),
  );
  assert.ok(logger.lines.some(({ message }) => /too slowly/.test(message)));
});

test("a replay that is too much for one reader ends in a gap after all of it", async (t) => {
  const config = scriptedConfig();
  const { server } = await startRig(t, { config });
  const details = "x".repeat(50_000);
  for (let id = 1; id <= 100; id++) config.emit({ kind: "sync", event: sampleSyncEvent({ details }) });
  const listening = listenTo(t, server.socketPath, "Last-Event-ID: 0\r\n");
  await listening.closed;
  assert.deepEqual(framesOf(listening.text()).at(-1), ["100", { kind: "gap" }]);
  assert.equal(config.listenerCount, 0);
});

test("a dropped reader that never reads is cut", async (t) => {
  const clock = createManualClock();
  const config = scriptedConfig();
  const { server } = await startRig(t, { config, clock });
  const slow = listenTo(t, server.socketPath);
  await eventually(() => config.listenerCount === 1);
  slow.socket.pause();
  const details = "x".repeat(50_000);
  await eventually(() => {
    config.emit({ kind: "sync", event: sampleSyncEvent({ details }) });
    return config.listenerCount === 0;
  });
  await passTimeUntil(clock, () => clock.pendingTimers === 0, 5_000);
});

test("of too many listeners the last is refused, and everything else is still answered", async (t) => {
  const config = scriptedConfig();
  const { server } = await startRig(t, { config });
  for (let count = 0; count < LISTENER_LIMIT; count++) listenTo(t, server.socketPath);
  await eventually(() => config.listenerCount === LISTENER_LIMIT);
  const refused = await talk(server.socketPath, get(STREAM));
  assert.equal(refused.status, 503);
  assert.match(JSON.parse(refused.body).error.message, /32 listeners/);
  assert.equal((await talk(server.socketPath, get("sync"))).status, 200);
});

test("when the server ends, its streams end in order", async (t) => {
  const config = scriptedConfig();
  const { server } = await startRig(t, { config });
  const listening = listenTo(t, server.socketPath);
  await eventually(() => config.listenerCount === 1);
  config.emit(sampleSyncState());
  await server[Symbol.asyncDispose]();
  await listening.closed;
  assert.equal(framesOf(listening.text()).length, 1);
  assert.match(listening.text(), /\r\n0\r\n\r\n$/);
  assert.equal(config.listenerCount, 0);
});
