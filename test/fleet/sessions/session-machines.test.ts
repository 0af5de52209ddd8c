import assert from "node:assert/strict";
import { type Duplex, duplexPair } from "node:stream";
import { type TestContext, test } from "node:test";
import { openingBytes, readOpening } from "../../../src/fleet/calls/call-messages.ts";
import { ANY_DAEMON, frameBytes, LONGEST_DATA, readFrame } from "../../../src/fleet/calls/frames.ts";
import { TunnelRegistry } from "../../../src/fleet/calls/tunnel-registry.ts";
import { SessionMachines } from "../../../src/fleet/sessions/session-machines.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";

const idOf = (digit: string): string => digit.repeat(16);
const NEVER = new AbortController().signal;

/** Boards of several machines whose frames reach each other at once; each names those it shares with. */
function machines(t: TestContext) {
  const clock = createManualClock();
  const boards: Record<string, { readonly board: TunnelRegistry; readonly instance: string }[]> = {};
  const answers: string[] = [];
  const start = (name: string, instance: string, sessions: readonly string[]) => {
    const served: Duplex[] = [];
    const state = { isLeaving: false };
    const own: SessionMachines = new SessionMachines({
      config: () => ({ sessions }),
      clock,
      requestId: (machine) => board.requestId(machine),
      open: (...asked) => board.open(...asked),
      isHandingOver: () => state.isLeaving,
    });
    const board: TunnelRegistry = new TunnelRegistry({
      clock,
      name,
      instance,
      refusal: () => "it offers nothing",
      serve: (_machine, _backend, stream) => void served.push(stream),
      sessions: own,
      onLost() {},
    });
    board.begin({
      chunkBytes: LONGEST_DATA,
      frame(to, bytes) {
        answers.push(`${name} ${to} ${readFrame(bytes)?.kind}`);
        const there = boards[to] ?? [];
        // As the server says that nobody listens.
        if (there.length === 0) queueMicrotask(() => board.nobodyThere(to));
        for (const other of there) queueMicrotask(() => other.board.take(name, bytes));
      },
    });
    boards[name] = [...(boards[name] ?? []), { board, instance }];
    t.after(() => board.end("over"));
    const goes = (): void => {
      boards[name] = (boards[name] ?? []).filter((one) => one.board !== board);
    };
    return { own, board, served, state, goes };
  };
  return { clock, start, answers };
}

test("G1 an unnamed machine gets no message of sessions, whatever it sends", async (t) => {
  const { clock, start, answers } = machines(t);
  const desktop = start("desktop", idOf("2"), ["laptop"]);
  const laptop = start("laptop", idOf("1"), ["*"]);
  const mallory = start("mallory", idOf("3"), ["*"]);
  const stream = laptop.own.connect("desktop", NEVER);
  await clock.advance(0);
  assert.ok(await stream);
  assert.equal(desktop.served.length, 1);
  const before = answers.length;
  const none = mallory.own.connect("desktop", NEVER);
  await clock.advance(6_100);
  assert.equal(await none, null);
  assert.deepEqual(
    answers.slice(before).filter((line) => line.startsWith("desktop mallory")),
    [],
  );
  // Not even where it knows the daemon's number.
  const open = {
    kind: "open",
    fromOpener: true,
    to: idOf("2"),
    tunnel: idOf("a"),
    number: 0,
    payload: openingBytes({ instance: idOf("3"), backend: null }),
  } as const;
  desktop.board.take("mallory", frameBytes(open));
  assert.equal(answers.at(-1), "desktop mallory abort");
  assert.equal(desktop.served.length, 1);
  // To whichever daemon it may be goes a question alone.
  desktop.board.take("laptop", frameBytes({ ...open, to: ANY_DAEMON }));
  assert.equal(desktop.served.length, 1);
  const back = desktop.own.connect("laptop", NEVER);
  await clock.advance(0);
  assert.ok(await back, "* names every machine");
});

test("G1 during a handover the next daemon is asked; an absent session is reported soon, and silence in time", async (t) => {
  const { clock, start } = machines(t);
  const shared = ["desktop"];
  const laptop = start("laptop", idOf("1"), shared);
  const old = start("desktop", idOf("2"), ["laptop"]);
  const first = laptop.own.connect("desktop", NEVER);
  await clock.advance(0);
  assert.ok(await first);
  old.state.isLeaving = true;
  const second = laptop.own.connect("desktop", NEVER);
  await clock.advance(300);
  const next = start("desktop", idOf("4"), ["laptop"]);
  await clock.advance(200);
  assert.ok(await second);
  assert.deepEqual([old.served.length, next.served.length], [1, 1]);
  assert.deepEqual(laptop.own.conditions(), []);
  old.goes();
  next.goes();
  laptop.board.nobodyThere("desktop");
  const third = laptop.own.connect("desktop", NEVER);
  await clock.advance(2_100);
  assert.equal(await third, null);
  const [away] = laptop.own.conditions();
  assert.deepEqual([away?.code, away?.severity], ["fleet_sessions_away", "warning"]);
  assert.match(away?.title ?? "", /^Sessions of desktop were not reached/u);
  const dumb = start("desktop", idOf("5"), ["nas"]);
  const fourth = laptop.own.connect("desktop", NEVER);
  const gone = new AbortController();
  const fifth = laptop.own.connect("desktop", gone.signal);
  gone.abort();
  await clock.advance(1_000);
  assert.equal(await fifth, null);
  await clock.advance(5_100);
  assert.equal(await fourth, null);
  assert.equal(dumb.served.length, 0);
  // With whom nothing is shared any more, nothing is missed.
  assert.equal(laptop.own.conditions().length, 1);
  shared[0] = "nas";
  assert.deepEqual(laptop.own.conditions(), []);
});

test("G1 simultaneous requests for machines share one search, each for as long as its caller waits", async (t) => {
  const { clock, start } = machines(t);
  const laptop = start("laptop", idOf("1"), ["desktop"]);
  start("desktop", idOf("5"), ["nas"]);
  const first = laptop.own.connect("desktop", NEVER);
  await clock.advance(4_000);
  const later = laptop.own.connect("desktop", NEVER);
  const given = new AbortController();
  const stopped = laptop.own.connect("desktop", given.signal);
  given.abort();
  assert.equal(await stopped, null);
  assert.deepEqual(laptop.own.conditions(), [], "who stops asking misses nothing");
  await clock.advance(2_100);
  assert.equal(await first, null);
  assert.equal(laptop.own.conditions().length, 1);
  start("desktop", idOf("6"), ["laptop"]);
  await clock.advance(200);
  assert.ok(await later);
  assert.deepEqual(laptop.own.conditions(), []);
});

test("G1 a machine that appears during a search is waited for, and the limit of searches holds", async (t) => {
  const { clock, start, answers } = machines(t);
  const laptop = start("laptop", idOf("1"), ["*"]);
  const coming = laptop.own.connect("desktop", NEVER);
  await clock.advance(1_000);
  const silent = start("desktop", idOf("5"), ["nas"]);
  await clock.advance(3_000);
  silent.goes();
  const desktop = start("desktop", idOf("2"), ["laptop"]);
  await clock.advance(200);
  assert.ok(await coming);
  // After the link was lost, another daemon may run there.
  desktop.goes();
  laptop.own.forgetAll();
  const next = start("desktop", idOf("3"), ["laptop"]);
  const again = laptop.own.connect("desktop", NEVER);
  const before = answers.length;
  await clock.advance(0);
  assert.ok(await again);
  assert.deepEqual([next.served.length, answers[before - 1]], [1, "laptop desktop probe"]);
  const many = Array.from({ length: 101 }, (_, n) => laptop.own.connect(`m${n}`, NEVER));
  const asked = answers.length;
  await clock.advance(2_200);
  assert.deepEqual(new Set(await Promise.all(many)), new Set([null]));
  assert.equal(
    answers.slice(asked - 101).some((line) => line.includes("m100 ")),
    false,
  );
});

test("G1 an opening for sessions is distinguished from one for a backend", () => {
  const instance = idOf("1");
  for (const backend of ["files", null]) {
    assert.deepEqual(readOpening(openingBytes({ instance, backend })), { instance, backend });
  }
  for (const wrong of ['"sessions":false', '"sessions":true,"backend":"files"', '"sessions":1']) {
    const read = readOpening(Buffer.from(`{"format":1,"instance":"${instance}",${wrong}}`));
    assert.notEqual(read?.backend, null, wrong);
  }
});

test("G1 a stream that is opened too late is closed", async () => {
  const clock = createManualClock();
  const [ours] = duplexPair();
  const own: SessionMachines = new SessionMachines({
    config: () => ({ sessions: ["desktop"] }),
    clock,
    requestId: (machine) => own.found(machine, idOf("2")),
    open: () => ours,
    isHandingOver: () => false,
  });
  const stream = own.connect("desktop", NEVER);
  await clock.advance(6_500);
  assert.equal(await stream, null);
  await eventually(() => ours.destroyed);
});

test("G1 a machine whose daemon has restarted is reached at once", async (t) => {
  const { clock, start } = machines(t);
  const laptop = start("laptop", idOf("1"), ["*"]);
  const before = start("desktop", idOf("2"), ["laptop"]);
  const first = laptop.own.connect("desktop", NEVER);
  await clock.advance(0);
  (await first)?.destroy();
  before.goes();
  // Any frame shows that nobody is there, such as the probe of another search.
  laptop.board.requestId("desktop");
  await clock.advance(0);
  start("desktop", idOf("3"), ["laptop"]);
  let reached: Duplex | null = null;
  void laptop.own.connect("desktop", NEVER).then((stream) => {
    reached = stream;
  });
  await clock.advance(0);
  assert.ok(reached);
});
