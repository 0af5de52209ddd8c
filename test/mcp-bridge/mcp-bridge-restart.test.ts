// The bridge while its daemon ends and another one comes, or none: time is the test's.
import assert from "node:assert/strict";
import { type Duplex, PassThrough, Writable } from "node:stream";
import { type TestContext, test } from "node:test";
import { type BridgedDaemon, type BridgeMeans, bridge } from "../../src/mcp-bridge/mcp-bridge.ts";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { eventually } from "../support/eventually.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { passTimeUntil, passTimeUntilSettled } from "../support/pass-time.ts";
import { pluck } from "../support/pluck.ts";
import { collector, gatewayOf, type Heard, never, startScene } from "./bridge-scene.ts";

type Serve = Parameters<typeof startScene>[1];

const HANDOVER = '{"jsonrpc":"2.0","method":"notifications/mountaineer/handover"}\n';

const LONG = "x".repeat(2 * 1024 * 1024);
const BACK = "the daemon is back";

/** A client on a bridge to a daemon that can end; the next one is whatever the test says. */
async function startBridging(
  t: TestContext,
  options: { readonly output?: Writable; readonly serve?: Serve } = {},
) {
  const clock = createManualClock();
  const heard: Heard[] = [];
  const first = await startScene(t, options.serve ?? gatewayOf(heard));
  const input = new PassThrough();
  const { output, text } = collector();
  const notes: string[] = [];
  let next: BridgedDaemon | null = null;
  let looks = 0;
  const means: BridgeMeans = {
    clock,
    notify: (line) => notes.push(line),
    async find() {
      looks += 1;
      return next;
    },
  };
  const bridging = bridge(first.daemon, { input, output: options.output ?? output, signal: never }, means);
  bridging.catch(() => {});
  t.after(() => input.once("error", () => {}).destroy(new Error("the test is over")));
  await eventually(() => first.streams.length === 1);
  const self = {
    ...{ clock, heard, notes, bridging, text, input, output },
    messages: () =>
      text()
        .split("\n")
        .filter((line) => line.startsWith("{"))
        .map((line) => JSON.parse(line)),
    looks: () => looks,
    says: (message: object) => void input.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`),
    calls: (id: number) => self.says({ id, method: "tools/call" }),
    async begins() {
      self.says({ id: 0, method: "initialize", params: { protocolVersion: "2025-11-25" } });
      await eventually(() => self.messages().length === 1);
      self.says({ method: "notifications/initialized" });
      await eventually(() => heard.length === 2);
    },
    async ends() {
      await first.socket[Symbol.asyncDispose]();
      await eventually(() => notes.length === 1);
    },
    /** The next daemon is there to be found; resolves with what its gateway hears. */
    async comes(changes: Partial<BridgedDaemon> = {}, serve?: Serve) {
      const heardNext: Heard[] = [];
      const scene = await startScene(t, serve ?? gatewayOf(heardNext));
      next = { ...scene.daemon, ...changes };
      return heardNext;
    },
    /** None is there to be found any more. */
    goes() {
      next = null;
    },
    /** Lets so much time pass that what the client says is refused. */
    async goesAway() {
      for (let passed = 0; passed < 31_000; passed += 250) await clock.advance(250);
      await eventually(() => notes.length === 2);
    },
    /** Lets time pass until this holds. */
    until: (holds: () => unknown) => passTimeUntil(clock, holds, 100),
  };
  return self;
}

/** The session has begun, and its daemon has ended. */
async function startAlone(t: TestContext) {
  const scene = await startBridging(t);
  await scene.begins();
  await scene.ends();
  return scene;
}

/** Of calls the ids, of all else the methods. */
const order = (heard: readonly Heard[]): unknown[] =>
  heard.map(({ id, method }) => (method === "tools/call" ? id : method));
const BEGUN = ["initialize", "notifications/initialized"];

/** Serves those that connect one after the other; whoever comes later, as the last. */
function inTurn(...serves: readonly Serve[]) {
  let came = 0;
  const serve: Serve = (stream) => serves[Math.min(came++, serves.length - 1)]?.(stream);
  return { serve, came: () => came };
}

const leaving: Serve = (stream) => void stream.destroy();
const leavingForAnother: Serve = (stream) => void stream.end(HANDOVER);
const silent: Serve = (stream) => void stream.resume();
/** A gateway that ends: it answers each request with an error. */
function refusing(stream: Duplex): void {
  stream.on("error", () => {});
  stream.on("data", (chunk: Buffer) => {
    const { id } = JSON.parse(chunk.toString());
    const error = { code: -32000, message: "the gateway is stopping" };
    stream.write(`${JSON.stringify({ jsonrpc: "2.0", id, error })}\n`);
  });
}

test("B11 without a daemon calls wait 30 s, are refused after that, and the session continues with a late one", async (t) => {
  const scene = await startBridging(t);
  await scene.begins();
  scene.calls(1);
  await eventually(() => scene.heard.length === 3);
  await scene.ends();
  assert.equal(scene.messages()[1].error.code, -32000, "at once, not after 30 s");
  scene.calls(2);
  await scene.clock.advance(29_000);
  assert.equal(scene.messages().length, 2);
  await scene.until(() => scene.messages().length === 3);
  scene.says({ id: 3, method: "tools/list" });
  await scene.until(() => scene.messages().length === 4);
  for (const id of [2, 3]) {
    const message = scene.messages()[id];
    assert.equal(message.id, id);
    assert.match(message.error.message, /no Mountaineer daemon runs .*the call took no effect/u);
  }
  assert.deepEqual(scene.notes, [
    "the daemon ended the connection; waiting 30 s for it to return",
    "no daemon has returned yet: calls are refused until one does",
  ]);
  const heard = await scene.comes();
  await scene.until(() => scene.notes.length === 3);
  assert.equal(scene.notes.at(-1), BACK);
  scene.calls(4);
  await scene.until(() => heard.length === 3);
  assert.deepEqual(order(heard), [...BEGUN, 4]);
});

test("B11 a daemon that appears and does not accept the session, while no other does, changes nothing", async (t) => {
  const scene = await startAlone(t);
  await scene.goesAway();
  await scene.comes({}, refusing);
  const looks = scene.looks();
  await scene.until(() => scene.looks() > looks + 2);
  scene.calls(5);
  await scene.until(() => scene.messages().length === 2);
  assert.equal(scene.messages()[1].id, 5);
  const heard = await scene.comes();
  await scene.until(() => heard.length === 2);
});

test("a client that leaves while there is no daemon ends it", async (t) => {
  const scene = await startAlone(t);
  await scene.goesAway();
  // Also a last line without its newline is answered.
  scene.input.end('{"jsonrpc":"2.0","id":9,"method":"tools/call"}');
  await scene.bridging;
  assert.equal(scene.messages().at(-1).id, 9);
});

/** As a gateway that a client of 2026-07-28 has asked something: nothing of that is said again. */
const ANSWERS_ALL = gatewayOf([], () => ({}));

test("B11 D2 a client of 2026-07-28 is not resumed by a gateway that ends the connection at once, nor notified of it", async (t) => {
  const scene = await startBridging(t, { serve: ANSWERS_ALL });
  scene.says({ id: 0, method: "server/discover" });
  await eventually(() => scene.messages().length === 1);
  await scene.ends();
  await scene.goesAway();
  const heard: Heard[] = [];
  const { serve, came } = inTurn(leaving, leaving, leaving, gatewayOf(heard));
  await scene.comes({}, serve);
  await scene.until(() => came() === 3);
  assert.equal(scene.notes.length, 2);
  scene.calls(1);
  await scene.until(() => scene.messages().length === 2);
  assert.match(scene.messages()[1].error.message, /the call took no effect/u);
  await scene.until(() => scene.notes.length === 3);
  scene.calls(2);
  await scene.until(() => heard.length === 1);
  assert.deepEqual([heard[0]?.id, scene.notes.at(-1)], [2, BACK]);
});

test("B11 a client that reads nothing while its calls are refused is waited for once, however much it sends", async (t) => {
  const output = new PassThrough({ highWaterMark: 16 });
  const scene = await startBridging(t, { output, serve: ANSWERS_ALL });
  scene.says({ id: 0, method: "server/discover" });
  await eventually(() => output.read() !== null);
  await scene.ends();
  for (let id = 0; id < 40; id++) scene.calls(id);
  await scene.goesAway();
  await eventually(() => output.writableNeedDrain);
  assert.ok(output.listenerCount("drain") < 5);
  let text = "";
  output.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  await eventually(() => text.split("took no effect").length === 41);
});

test("B11 a next daemon that hands over while it accepts the session gets no call, and the one after it gets all", async (t) => {
  const scene = await startAlone(t);
  scene.calls(1);
  const [between, last]: [Heard[], Heard[]] = [[], []];
  const handsOver: Serve = (stream) => {
    stream.write(HANDOVER);
    gatewayOf(between)(stream);
  };
  await scene.comes({}, inTurn(handsOver, gatewayOf(last)).serve);
  await scene.until(() => last.length === 3);
  assert.deepEqual([between, last].map(order), [["initialize"], [...BEGUN, 1]]);
});

test("B11 after a handover the next daemon is searched for at once, and only a late one is reported to the person", async (t) => {
  const streams: Duplex[] = [];
  const answers = gatewayOf([], () => ({}));
  const begin = async () => {
    const scene = await startBridging(t, {
      serve(stream) {
        streams.push(stream);
        answers(stream);
      },
    });
    scene.says({ id: 0, method: "server/discover" });
    await eventually(() => scene.messages().length === 1);
    return scene;
  };
  const soon = await begin();
  const heard = await soon.comes();
  streams.at(-1)?.write(HANDOVER);
  await eventually(() => streams.at(-1)?.readableEnded);
  soon.calls(1);
  const sinceMs = soon.clock.monotonicMs();
  await eventually(async () => {
    await soon.clock.advance(0);
    return heard.length === 1;
  });
  assert.deepEqual([soon.notes, soon.clock.monotonicMs()], [[], sinceMs]);

  const late = await begin();
  streams.at(-1)?.write(HANDOVER);
  await late.until(() => late.notes.length === 1);
  await late.comes();
  await late.until(() => late.notes.length === 2);
  assert.deepEqual(late.notes, ["no daemon has returned yet: calls are refused until one does", BACK]);
});

test("B11 a call in flight is answered by the old daemon, while the next one answers later calls, and no line is within another", async (t) => {
  const streams: Duplex[] = [];
  const keeps = (stream: Duplex): void => {
    streams.push(stream);
    gatewayOf([])(stream);
  };
  const scene = await startBridging(t, { serve: keeps });
  scene.calls(1);
  await scene.comes({}, keeps);
  streams[0]?.write(HANDOVER);
  await scene.until(() => streams.length === 2);
  scene.calls(2);
  streams[0]?.write(`{"id":1,"result":{"text":"${LONG}`);
  streams[1]?.write('{"id":2,"result":{}}\n');
  await eventually(() => scene.messages().length === 1);
  streams[0]?.write('"}}\n');
  await eventually(() => scene.messages().length === 2);
  assert.deepEqual(pluck(scene.messages(), "id"), [2, 1]);
  await eventually(() => streams[0]?.readableEnded);
  assert.equal(streams[1]?.readableEnded, false);
});

test("B11 a daemon that ends while it hands over delays no call to the next one", async (t) => {
  const scene = await startBridging(t, {
    serve(stream) {
      stream.once("data", () => {
        stream.write(HANDOVER);
        setImmediate(() => stream.destroy());
      });
    },
  });
  scene.calls(1);
  const heard = await scene.comes();
  await scene.until(() => scene.messages().length === 1);
  scene.calls(2);
  await scene.until(() => heard.length === 1);
});

test("without a daemon for an hour it ends, and reports how long it tried", async (t) => {
  const scene = await startAlone(t);
  // One that refuses the session and goes is none either.
  await scene.comes({}, refusing);
  await scene.until(() => scene.looks() > 1);
  scene.goes();
  const sinceMs = scene.clock.monotonicMs();
  await assert.rejects(passTimeUntilSettled(scene.clock, scene.bridging, 60_000), {
    code: "daemon_unreachable",
    message: "the daemon ended the connection, and no daemon returned within an hour",
  });
  assert.ok(scene.clock.monotonicMs() - sinceMs >= 3_600_000);
  // Every quarter of a second for half a minute, and every two seconds after that.
  assert.ok(scene.looks() < 2_000, `${scene.looks()} looks`);
});

test("the next daemon gets the session, and the messages that the client sent until then, in order", async (t) => {
  const scene = await startAlone(t);
  for (const id of [1, 2, 3]) scene.calls(id);
  const heard = await scene.comes();
  await scene.until(() => heard.length === 5);
  assert.deepEqual(order(heard), [...BEGUN, 1, 2, 3]);
  assert.deepEqual(scene.messages().slice(1), [
    { jsonrpc: "2.0", method: "notifications/tools/list_changed" },
  ]);
  assert.equal(scene.notes.at(-1), BACK);
  scene.input.end();
  await scene.bridging;
});

test("a client that sends much while the daemon is away is paused, and loses nothing", async (t) => {
  const scene = await startAlone(t);
  const much = "x".repeat(10_000);
  let sent = 0;
  let isFull = false;
  while (!isFull && sent < 1_000) {
    sent += 1;
    isFull = !scene.input.write(`${JSON.stringify({ id: sent, method: "tools/call", params: { much } })}\n`);
    await scene.clock.advance(0);
  }
  assert.ok(isFull && sent < 50, `${sent} messages of 10 KB were taken`);
  const heard = await scene.comes();
  await scene.until(() => heard.length === sent + 2);
  assert.deepEqual(order(heard), [...BEGUN, ...Array.from({ length: sent }, (_, index) => index + 1)]);
});

test("a next daemon without a gateway gets the session once it has one, and is gateway_off if it has none after 30 s", async (t) => {
  const late = await startAlone(t);
  let looks = 0;
  const heard = await late.comes({ backendPhases: async () => (++looks < 3 ? null : []) });
  await late.until(() => heard.length === BEGUN.length);
  assert.equal(looks, 3);
  late.input.end();
  await late.bridging;

  const off = await startAlone(t);
  const sinceMs = off.clock.monotonicMs();
  await off.comes({ backendPhases: async () => null });
  await assert.rejects(passTimeUntilSettled(off.clock, off.bridging), { code: "gateway_off" });
  assert.ok(off.clock.monotonicMs() - sinceMs >= 30_000);
});

test("a next daemon of another version does not get the session", async (t) => {
  const other = await startAlone(t);
  await other.comes({}, (stream) => {
    stream.on("data", (chunk: Buffer) => {
      const { id } = JSON.parse(chunk.toString());
      stream.write(`${JSON.stringify({ id, result: { protocolVersion: "2099-01-01" } })}\n`);
    });
  });
  await assert.rejects(passTimeUntilSettled(other.clock, other.bridging), {
    code: "daemon_unreachable",
    message: /it speaks MCP 2099-01-01/u,
  });
});

for (const [what, serves] of [
  ["takes no client, or says nothing,", [leaving, leaving, silent]],
  ["refuses the session", [refusing, refusing, refusing]],
  ["announces a handover and is gone", [leavingForAnother, leavingForAnother, leavingForAnother]],
] as const)
  test(`B11 a next gateway that ${what} is tried again until it does, and the client is not notified`, async (t) => {
    const scene = await startAlone(t);
    const hello: Heard[] = [];
    const { serve, came } = inTurn(...serves, gatewayOf(hello));
    await scene.comes({}, serve);
    await scene.until(() => hello.length === 2);
    scene.calls(1);
    await scene.until(() => hello.length === 3);
    assert.equal(came(), 4);
    assert.equal(scene.notes.filter((note) => note === BACK).length, 1);
    assert.equal(scene.output.listenerCount("drain"), 1, "those of lost connections are gone");
    assert.ok(!scene.messages().some(({ error }) => error !== undefined));
  });

test("B11 when the session is refused for an hour it ends, with the reason", async (t) => {
  const scene = await startAlone(t);
  let refused = 0;
  await scene.comes({}, (stream) => {
    refusing(stream);
    stream.once("end", () => (refused += 1));
  });
  await scene.until(() => refused === 4);
  // Between two tries, of which the first one after the hour is none.
  await eventually(() => refused === scene.looks() && scene.clock.pendingTimers === 1);
  await scene.clock.advance(3_600_000);
  await assert.rejects(passTimeUntilSettled(scene.clock, scene.bridging, 100), {
    code: "daemon_unreachable",
    message:
      /did not resume this session within an hour: it answers initialize with .*the gateway is stopping/u,
  });
});

test("it waits for the backends of the next daemon, for 5 s at most, and not for one that cannot report them", async (t) => {
  const answers: readonly (readonly [BridgedDaemon["backendPhases"], number])[] = [
    [async () => ["Ready", "Failed"], 100],
    [async () => ["Ready", "Initializing"], 5_100],
    [async () => ["Pending"], 5_100],
    [async () => Promise.reject(new Error("of another age")), 100],
  ];
  for (const [backendPhases, expectedMs] of answers) {
    const scene = await startAlone(t);
    const sinceMs = scene.clock.monotonicMs();
    let takenMs = 0;
    await scene.comes({ backendPhases }, () => {
      takenMs = scene.clock.monotonicMs();
    });
    await scene.until(() => takenMs > 0);
    const tookMs = takenMs - sinceMs;
    assert.ok(tookMs >= expectedMs && tookMs < expectedMs + 500, `${tookMs} ms, not ${expectedMs}`);
  }
});

test("half a message of the gateway does not reach the client", async (t) => {
  for (const half of ['{"id":1,"result":{', `{"id":1,"result":"${LONG}`]) {
    const scene = await startBridging(t, { serve: (stream) => void stream.write(half) });
    scene.calls(1);
    await scene.clock.advance(2_000);
    await scene.ends();
    assert.match(JSON.parse(scene.text()).error.message, /ended before it answered/u);
  }
});

test("half a message of the client, of whatever length, goes whole to the next daemon", async (t) => {
  const scene = await startAlone(t);
  scene.input.write(`{"jsonrpc":"2.0","method":"tools/call","params":{"text":"${LONG}`);
  await scene.goesAway();
  const heard = await scene.comes();
  await scene.until(() => heard.length === 2);
  scene.input.write(`"},"id":6}\n`);
  scene.calls(7);
  await scene.until(() => heard.length === 4);
  assert.deepEqual(pluck(heard.slice(2), "id"), [6, 7]);
});

test("a client that has sent nothing yet also finds the next daemon", async (t) => {
  const scene = await startBridging(t);
  await scene.clock.advance(1_000);
  await scene.ends();
  const heard = await scene.comes();
  scene.says({ id: 0, method: "initialize" });
  await scene.until(() => heard.length === 1);
  assert.deepEqual(heard[0], { jsonrpc: "2.0", id: 0, method: "initialize" });
});

test("a daemon that is gone before the first message is searched for again", async (t) => {
  const scene = await startScene(t, leaving);
  const clock = createManualClock();
  const ends = { input: new PassThrough(), output: collector().output, signal: never };
  const away = () => Promise.reject(new MountaineerError("daemon_unreachable", "it is gone"));
  const gone = { ...scene.daemon, backendPhases: away };
  const bridging = bridge(gone, ends, { clock, find: away, notify() {} });
  await assert.rejects(passTimeUntilSettled(clock, bridging, 60_000), {
    message: /no daemon returned within an hour/u,
  });
});

test("a client that leaves while the daemon is away ends it, even with unsent messages", async (t) => {
  const scene = await startAlone(t);
  scene.calls(9);
  scene.input.end();
  await scene.bridging;
  assert.equal(scene.looks(), 0);
});

test("a client that has closed its input gets an error for calls that the daemon leaves unanswered", async (t) => {
  const serve: Serve = (stream) => void stream.once("end", () => stream.end('{"id":1,"res')).resume();
  const scene = await startBridging(t, { serve });
  scene.calls(1);
  scene.input.end();
  await scene.bridging;
  assert.match(scene.messages()[0].error.message, /ended before it answered/u);
  assert.deepEqual(scene.notes, []);
});

test("a client that reads nothing is not reconnected before it does", async (t) => {
  let release = (): void => {};
  const output = new Writable({
    highWaterMark: 1,
    write(_chunk, _encoding, done) {
      release = done;
    },
  });
  const scene = await startBridging(t, { output, serve: (stream) => void stream.write("{}\n") });
  await eventually(() => output.writableNeedDrain);
  await scene.ends();
  const heard = await scene.comes();
  scene.says({ id: 1, method: "ping" });
  await scene.clock.advance(10_000);
  assert.equal(scene.looks(), 0);
  release();
  await scene.until(() => heard.length === 1);
});
