// What the client makes of a stream that is not as it should be, and of a daemon that does not come up.
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { existsSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { connectToDaemon, type DaemonClient } from "../../../src/api/client/client.ts";
import { type FollowNotice, followDaemon } from "../../../src/api/client/follow-daemon.ts";
import { startDaemon } from "../../../src/api/client/start-daemon.ts";
import type { StreamEvent } from "../../../src/api/contract/contract.ts";
import { ERROR_CODES } from "../../../src/runtime/errors.ts";
import { type Clock, systemClock } from "../../../src/runtime/time/clock.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { startImposter } from "../imposter.ts";
import { startRig } from "../management-rig.ts";

const HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
const GAP = 'id: 1\ndata: {"kind":"gap"}\n\n';

/** A daemon that answers each stream's request with `text`; `requests`: what it was asked, by connection. */
async function streaming(t: TestContext, text: string, ends = true) {
  const requests: { readonly socket: Socket; readonly head: string }[] = [];
  const home = await startImposter(t, (socket) => {
    socket.once("data", (chunk) => {
      requests.push({ socket, head: String(chunk) });
      if (ends) socket.end(text);
      else socket.write(text);
    });
  });
  const clock = createManualClock();
  const client = await connectToDaemon(home, { clock });
  assert.ok(client !== null);
  return { home, clock, client, requests };
}

async function read(client: DaemonClient, signal: AbortSignal): Promise<StreamEvent["kind"][]> {
  using stream = await client.openEvents(signal);
  const kinds: StreamEvent["kind"][] = [];
  for await (const { event } of stream.events) kinds.push(event.kind);
  return kinds;
}

test("a stream that breaks the contract is a protocol error with its position, and nothing of it stays open", async (t) => {
  const refusal = (status: number, body: string) =>
    `HTTP/1.1 ${status} X\r\nConnection: close\r\n\r\n${body}`;
  const error = JSON.stringify({ error: { code: "owner_only", message: "not you", hint: null } });
  for (const [text, expected] of [
    [`${HEAD}id: x\ndata: {"kind":"gap"}\n\n`, /an event's id is not a number/],
    [`${HEAD}data: no JSON\n\n`, /an event is not JSON/],
    [`${HEAD}data: []\n\n`, /an event has no kind/],
    [`${HEAD}data: {"kind":"sync","event":1}\n\n`, /an event is wrong at event/],
    [`${HEAD}data: ${"x".repeat(16 * 1024 * 1024 + 1)}`, /an event is longer than/],
    [refusal(503, "{}"), /HTTP 503/],
    [refusal(403, error), /not you/],
    [refusal(500, "x".repeat(128 * 1024)), /HTTP 500/],
  ] as const) {
    const { clock, client, requests } = await streaming(t, text);
    const { signal } = new AbortController();
    await assert.rejects(read(client, signal), expected);
    assert.deepEqual([getEventListeners(signal, "abort").length, clock.pendingTimers], [0, 0]);
    await eventually(() => requests.at(-1)?.socket.destroyed);
  }
});

test("events that only a newer daemon knows are left out", async (t) => {
  const news = 'data: {"kind":"news"}\n\ndata: {"kind":1}\n\n';
  const { client } = await streaming(t, `${HEAD}${news}${GAP}`);
  assert.deepEqual(await read(client, new AbortController().signal), ["gap"]);
});

test("a stream lives as long as data arrives within 45 s, and ends when no listener wants it", async (t) => {
  const { clock, client, requests } = await streaming(t, `${HEAD}${GAP}`, false);
  const silent = assert.rejects(read(client, new AbortController().signal), /nothing for 45 s/);
  // For the request, for the stream, and for each time that something comes.
  await eventually(() => clock.timersSet === 3);
  for (let round = 1; round <= 2; round += 1) {
    await clock.advance(40_000);
    requests[0]?.socket.write(":\n\n");
    await eventually(() => clock.timersSet === 3 + round);
  }
  await clock.advance(45_000);
  await silent;
  const stop = new AbortController();
  const stopped = assert.rejects(read(client, stop.signal), { code: "aborted" });
  await eventually(() => clock.timersSet === 8);
  stop.abort();
  await stopped;
  await assert.rejects(read(client, AbortSignal.abort()), { code: "aborted" });
  assert.deepEqual([requests.length, clock.pendingTimers], [2, 0]);
});

test("a daemon that does not identify itself is never resumed", async (t) => {
  const { home, requests } = await streaming(t, `${HEAD}${GAP}`);
  const stop = new AbortController();
  const notices: FollowNotice["kind"][] = [];
  for await (const { kind } of followDaemon(home, { signal: stop.signal })) {
    notices.push(kind);
    if (notices.length === 5) stop.abort();
  }
  assert.deepEqual(notices, ["connected", "event", "lost", "connected", "event"]);
  for (const { head } of requests) assert.doesNotMatch(head, /last-event-id/i);
});

test("a connection that lasts less than 5 s does not shorten the wait, and a bug in here is thrown", async () => {
  const stop = new AbortController();
  const waits: number[] = [];
  const manual = createManualClock();
  const clock: Clock = {
    ...manual,
    sleep: async (delayMs) => {
      if (waits.push(delayMs) === 7) stop.abort();
    },
  };
  let lastsMs = 0;
  const client = {
    pid: 1,
    startedAt: "now",
    async openEvents() {
      return {
        events: (async function* () {
          if (waits.length === 5) lastsMs = 5_000;
          await manual.advance(lastsMs);
          yield* [];
        })(),
        [Symbol.dispose]() {},
      };
    },
  } as unknown as DaemonClient;
  for await (const _ of followDaemon(async () => client, { signal: stop.signal, clock }));
  assert.deepEqual(waits, [100, 200, 400, 800, 1_600, 100, 100]);
  const failing = followDaemon(() => Promise.reject(new TypeError("x")), {
    signal: new AbortController().signal,
  });
  await assert.rejects(failing.next(), TypeError);
});

test("a failed start is reported with its reason, and a daemon that another program started first is waited for", async (t) => {
  const home = await temporaryFolder(t);
  const { signal } = new AbortController();
  const start = (script: string, given: AbortSignal = signal) =>
    startDaemon({
      home,
      command: ["/bin/sh", "-c", script],
      environment: {},
      clock: systemClock,
      signal: given,
    });
  const { exit } = ERROR_CODES.config_invalid;
  await assert.rejects(start(`exit ${exit}`), /the configuration has errors/);
  await assert.rejects(start("exit 99"), /exit code 99/);
  const unwanted = join(home, "unwanted");
  await assert.rejects(start(`touch ${unwanted}`, AbortSignal.abort()), { name: "AbortError" });
  const mark = join(home, "ended");
  const waiting = start(`touch ${mark}; exit ${ERROR_CODES.already_running.exit}`);
  await eventually(() => existsSync(mark));
  await startRig(t, { home });
  assert.equal((await (await waiting).call("status", null, signal)).global.version, "0.1.0");
  assert.equal(existsSync(unwanted), false);
});
