import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import type { Duplex } from "node:stream";
import { type TestContext, test } from "node:test";
import { offerText, openingBytes, readOffer, readOpening } from "../../../src/fleet/calls/call-messages.ts";
import {
  type Frame,
  frameBytes,
  HEAD_BYTES,
  LONGEST_DATA,
  readFrame,
} from "../../../src/fleet/calls/frames.ts";
import { type TunnelEnd, WINDOW_BYTES } from "../../../src/fleet/calls/tunnel.ts";
import { MOST_OF_MACHINE, TunnelRegistry } from "../../../src/fleet/calls/tunnel-registry.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { pluck } from "../../support/pluck.ts";

const idOf = (digit: string): string => digit.repeat(16);
const [LAPTOP, DESKTOP, MALLORY] = [idOf("1"), idOf("2"), idOf("3")];
const FILES = { machine: "desktop", backend: "files", instance: DESKTOP };

/** Laptop and desktop, whose frames reach each other at once unless `isCut`; the desktop echoes. */
function two(t: TestContext) {
  const clock = createManualClock();
  const served: Duplex[] = [];
  const lost: string[] = [];
  const sent: { readonly to: string; readonly frame: Frame }[] = [];
  let isCut = false;
  const boardOf = (name: string, instance: string): TunnelRegistry =>
    new TunnelRegistry({
      clock,
      name,
      instance,
      refusal: (backend) => (backend === "files" ? null : "it offers no server of that name"),
      serve(_machine, _backend, stream) {
        served.push(stream);
        stream.pipe(stream);
      },
      onLost: (machine) => void lost.push(machine),
    });
  const laptop = boardOf("laptop", LAPTOP);
  const desktop = boardOf("desktop", DESKTOP);
  for (const [from, board] of [
    ["laptop", laptop],
    ["desktop", desktop],
  ] as const) {
    board.begin({
      chunkBytes: LONGEST_DATA,
      frame(to, bytes) {
        const frame = readFrame(bytes);
        assert.ok(frame);
        sent.push({ to, frame });
        if (isCut) return;
        if (to === "desktop") desktop.take(from, bytes);
        else if (to === "laptop") laptop.take(from, bytes);
      },
    });
  }
  t.after(() => {
    laptop.end("over");
    desktop.end("over");
  });
  return {
    clock,
    laptop,
    desktop,
    served,
    lost,
    sent,
    cut: () => {
      isCut = true;
    },
    open(board = laptop, backend = FILES) {
      const ends: TunnelEnd[] = [];
      const stream = board.open(backend, (end) => ends.push(end));
      let said = "";
      stream.on("data", (chunk: Buffer) => {
        said += chunk.toString();
      });
      return { stream, ends, said: () => said };
    },
  };
}

const ofMallory = (more: Partial<Frame>): Buffer =>
  frameBytes({
    kind: "data",
    fromOpener: true,
    to: DESKTOP,
    tunnel: idOf("a"),
    number: 0,
    payload: Buffer.from("lie"),
    ...more,
  });

test("G1 a machine that lies harms only its own tunnels", async (t) => {
  const { laptop, desktop, open, sent, served, lost } = two(t);
  const honest = open();
  honest.stream.write("one");
  await eventually(() => honest.said() === "one");
  const own = sent[0]?.frame.tunnel ?? "";
  const answers = (): readonly Frame[] => sent.flatMap(({ to, frame }) => (to === "mallory" ? [frame] : []));

  const framesBefore = sent.length;
  desktop.take("desktop", ofMallory({ kind: "probe" }));
  assert.equal(sent.length, framesBefore, "nobody answers in its own name");
  // In the tunnel of another machine, both ways; under no machine's name; and what is no frame at all.
  for (const kind of ["data", "credit", "end", "abort", "alive", "probe"] as const) {
    for (const fromOpener of [true, false]) {
      for (const [board, to] of [
        [desktop, DESKTOP],
        [laptop, LAPTOP],
      ] as const) {
        board.take("mallory", ofMallory({ kind, fromOpener, to, tunnel: own }));
        board.take("desktop.call", ofMallory({ kind, fromOpener, to, tunnel: own }));
        board.take("", ofMallory({ kind, fromOpener, to, tunnel: own }));
      }
    }
  }
  for (let length = 0; length < 64; length += 1) desktop.take("mallory", randomBytes(length));
  desktop.take("mallory", ofMallory({ payload: Buffer.alloc(LONGEST_DATA + 1) }));
  desktop.take("mallory", ofMallory({ kind: "abort", payload: Buffer.alloc(2_000) }));
  for (const words of ["", "{", "[]", '{"format":1,"instance":"x","backend":"files"}', "\0".repeat(1_000)]) {
    desktop.take("mallory", ofMallory({ kind: "open", payload: Buffer.from(words) }));
  }
  assert.equal(served.length, 1);

  // In tunnels of its own: each wrong step ends that one.
  const opening = openingBytes({ instance: MALLORY, backend: "files" });
  const wrong: readonly Partial<Frame>[] = [
    { number: 1 },
    { kind: "end", number: 7 },
    { kind: "credit", number: 2 ** 47 },
  ];
  for (const [index, frame] of wrong.entries()) {
    const tunnel = idOf(String(index + 4));
    desktop.take("mallory", ofMallory({ kind: "open", tunnel, payload: opening }));
    desktop.take("mallory", ofMallory({ ...frame, tunnel }));
    const last = answers().at(-1);
    assert.deepEqual([last?.kind, last?.tunnel, last?.to], ["abort", tunnel, MALLORY]);
  }
  const ended = idOf("9");
  desktop.take("mallory", ofMallory({ kind: "open", tunnel: ended, payload: opening }));
  for (const kind of ["end", "data"] as const) desktop.take("mallory", ofMallory({ kind, tunnel: ended }));
  assert.deepEqual([answers().at(-1)?.kind, answers().at(-1)?.tunnel], ["abort", ended]);
  // More than there is room for: nothing is read there.
  const flooded = idOf("b");
  desktop.take("mallory", ofMallory({ kind: "open", tunnel: flooded, payload: opening }));
  served.at(-1)?.unpipe();
  served.at(-1)?.pause();
  const chunk = Buffer.alloc(LONGEST_DATA);
  for (let number = 0; number <= 2 * (WINDOW_BYTES / LONGEST_DATA); number += 1) {
    desktop.take("mallory", ofMallory({ tunnel: flooded, number, payload: chunk }));
  }
  assert.match(answers().at(-1)?.payload.toString() ?? "", /more than the window allows/);
  // And no more of the smallest frames, which cost more than their bytes.
  const [small, empty] = [idOf("c"), idOf("d")];
  for (const tunnel of [small, empty])
    desktop.take("mallory", ofMallory({ kind: "open", tunnel, payload: opening }));
  for (const stream of served.slice(-2)) stream.unpipe().pause();
  for (let number = 0; number <= WINDOW_BYTES / 32 + 2; number += 1) {
    desktop.take("mallory", ofMallory({ tunnel: small, number, payload: Buffer.from("x") }));
  }
  assert.deepEqual([answers().at(-1)?.kind, answers().at(-1)?.tunnel], ["abort", small]);
  desktop.take("mallory", ofMallory({ tunnel: empty, payload: Buffer.alloc(0) }));
  assert.deepEqual([answers().at(-1)?.kind, answers().at(-1)?.tunnel], ["abort", empty]);
  // Too many at once, and what is not offered.
  const before = served.length;
  for (let count = 0; count < 200; count += 1) {
    const tunnel = randomBytes(8).toString("hex");
    desktop.take("mallory", ofMallory({ kind: "open", tunnel, payload: opening }));
  }
  assert.equal(served.length - before, 128);
  assert.match(answers().at(-1)?.payload.toString() ?? "", /too many connections/);

  honest.stream.write("two");
  await eventually(() => honest.said() === "onetwo");
  assert.deepEqual([honest.ends, lost], [[], []]);
});

test("G1 a caller that waits for the last tunnel learns of its end, on either side", async (t) => {
  const { laptop, desktop, open } = two(t);
  await laptop.idle();
  const [one, other] = [open(), open()];
  for (const { stream } of [one, other]) stream.write("word");
  await eventually(() => one.said() === "word" && other.said() === "word");
  let isIdle = false;
  const idle = Promise.all([laptop.idle(), desktop.idle()]).then(() => {
    isIdle = true;
  });
  one.stream.destroy();
  await new Promise(setImmediate);
  assert.equal(isIdle, false);
  other.stream.destroy();
  await idle;
});

test("G1 a tunnel is opened once; the number and the rate are limited for each machine and for all", async (t) => {
  const { clock, desktop, sent, served } = two(t);
  const refusals = () => sent.filter(({ frame }) => frame.kind === "abort").length;
  let count = 0;
  const open = (machine: string, closes = false): void => {
    const tunnel = (count++).toString(16).padStart(16, "0");
    const payload = openingBytes({ instance: MALLORY, backend: "files" });
    for (const kind of ["open", "open", ...(closes ? (["abort"] as const) : [])] as const)
      desktop.take(
        machine,
        ofMallory({ kind, tunnel, payload: kind === "open" ? payload : Buffer.alloc(0) }),
      );
  };
  for (let n = 0; n < 201; n += 1) open("mallory", true);
  assert.deepEqual([served.length, refusals()], [200, 2], "both openings of the last one are refused");
  await clock.advance(10_000);
  open("mallory", true);
  assert.equal(served.length, 201);
  for (const machine of ["a", "b", "c", "d", "e"]) for (let n = 0; n < 128; n += 1) open(machine);
  assert.equal(served.length, 201 + 512);
});

test("G1 a backend that is not offered is refused with a reason, and the reason is displayed as foreign text", async (t) => {
  const { open, laptop, sent } = two(t);
  const refused = open(laptop, { ...FILES, backend: "private" });
  await eventually(() => refused.ends.length === 1);
  assert.deepEqual(pluck(refused.ends, "message"), ["desktop: it offers no server of that name"]);
  const told = open();
  const tunnel = sent.at(-2)?.frame.tunnel ?? "";
  const payload = Buffer.from(`\u001b[31mred\n${"x".repeat(500)}`);
  laptop.take("desktop", ofMallory({ kind: "abort", fromOpener: false, to: LAPTOP, tunnel, payload }));
  assert.match(told.ends[0]?.message ?? "", /^desktop: {2}\[31mred x+$/);
  assert.ok((told.ends[0]?.message.length ?? 0) < 300);
});

test("G1 a machine that no longer answers is lost, and its tunnels end with a reason", async (t) => {
  const { open, clock, cut, lost, sent } = two(t);
  const { stream, ends, said } = open();
  stream.write("one");
  await eventually(() => said() === "one");
  // It is asked, and answers, for as long as it is there.
  const probes = (machine: string): number =>
    sent.filter(({ to, frame }) => to === machine && frame.kind === "probe").length;
  await clock.advance(60_000);
  assert.deepEqual([ends, lost], [[], []]);
  assert.ok(probes("desktop") <= 12 && probes("laptop") <= 12, "each is asked every 5 s while nothing waits");
  cut();
  const before = probes("desktop");
  stream.write("two");
  await clock.advance(12_000);
  assert.ok(probes("desktop") - before <= 12, "and every second while a call may wait");
  assert.deepEqual(pluck(ends, "message", "wasReached"), [["desktop: it no longer answers", true]]);
  assert.ok(lost.includes("desktop"));
});

test("G1 no machine can make a tunnel buffer more than its window, in either direction", async (t) => {
  const { open, sent } = two(t);
  const { stream } = open();
  stream.pause();
  const whole = Buffer.alloc(20 * WINDOW_BYTES, "x");
  stream.write(whole);
  await new Promise((resolve) => setImmediate(resolve));
  const there = sent.filter(({ to, frame }) => to === "desktop" && frame.kind === "data");
  const bytes = there.reduce((sum, { frame }) => sum + frame.payload.length, 0);
  assert.ok(bytes <= 6 * WINDOW_BYTES, `${bytes} bytes were sent to a machine whose answers nobody reads`);
  let read = 0;
  stream.on("data", (chunk: Buffer) => {
    read += chunk.length;
  });
  stream.resume();
  await eventually(() => read === whole.length);
});

test("G1 no machine can make another one buffer more than a bound of unfinished messages, in whatever parts", async (t) => {
  const { desktop, sent, served, open } = two(t);
  const honest = open();
  const opening = openingBytes({ instance: MALLORY, backend: "files" });
  const tunnels = Array.from({ length: 12 }, (_, index) => index.toString(16).padStart(16, "f"));
  for (const tunnel of tunnels) {
    desktop.take("mallory", ofMallory({ kind: "open", tunnel, payload: opening }));
    // Taken at once, as by a gateway that waits for the line's end.
    served.at(-1)?.unpipe().resume();
  }
  const ended = (): readonly Frame[] =>
    sent.flatMap(({ to, frame }) => (to === "mallory" && frame.kind === "abort" ? [frame] : []));
  const [first = "", second = "", ...others] = tunnels;
  const [large, small] = [Buffer.alloc(LONGEST_DATA, "x"), Buffer.from("x")];
  const most = MOST_OF_MACHINE / LONGEST_DATA;
  const read = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const send = async (tunnel: string, count: number, payload: Buffer): Promise<void> => {
    for (let number = 0; number < count; number += 1) {
      desktop.take("mallory", ofMallory({ tunnel, number, payload }));
      if (number % 4 === 3) await read();
    }
  };
  // Whole lines are no matter, however many there are.
  const line = Buffer.alloc(LONGEST_DATA, "\n");
  await send(first, most, line);
  assert.deepEqual(ended(), []);
  await send(second, most / 2, large);
  assert.deepEqual(ended(), []);
  // Very small parts take more than their bytes.
  for (let number = 0; ended().length === 0 && number < 20_000; number += 1) {
    for (const tunnel of others) desktop.take("mallory", ofMallory({ tunnel, number, payload: small }));
    if (number % 500 === 499) await read();
  }
  assert.deepEqual(
    ended().map(({ tunnel, payload }) => [tunnel, payload.toString()]),
    [[second, "too much of it has arrived without its end"]],
  );
  assert.deepEqual(honest.ends, []);
});

test("G1 messages of machines are read strictly", () => {
  const offer = { instance: LAPTOP, backends: ["files", "mail"] };
  assert.deepEqual(readOffer(Buffer.from(offerText(offer))), offer);
  const opening = { instance: LAPTOP, backend: "files" };
  assert.deepEqual(readOpening(openingBytes(opening)), opening);
  const bad: readonly unknown[] = [
    null,
    [],
    { ...offer, format: 2 },
    { ...offer, format: 1, instance: "x" },
    { ...offer, format: 1, backends: ["../etc"] },
    { ...offer, format: 1, backends: ["a@b"] },
    { ...offer, format: 1, backends: [{}] },
    { ...offer, format: 1, backends: Array.from({ length: 65 }, (_, at) => `b${at}`) },
  ];
  for (const value of bad) assert.equal(readOffer(Buffer.from(JSON.stringify(value))), null);
  const long = " ".repeat(10_000);
  assert.equal(readOffer(Buffer.from(offerText(offer) + long)), null);
  assert.equal(readOpening(Buffer.from(openingBytes(opening) + long)), null);
  const unsorted = { ...offer, format: 1, backends: ["mail", "files", "mail"] };
  assert.deepEqual(readOffer(Buffer.from(JSON.stringify(unsorted))), offer);
  const names = Array.from({ length: 65 }, (_, at) => `b${at}`);
  assert.equal(readOffer(Buffer.from(offerText({ ...offer, backends: names })))?.backends.length, 64);
  assert.equal(readFrame(Buffer.alloc(HEAD_BYTES - 1)), null);
  assert.equal(readFrame(Buffer.alloc(HEAD_BYTES, 0x7f)), null);
});
