// A connection that shows who is behind an address, and the younger ones that take over from it, on a clock of the test.
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { holdWitness } from "../../../src/network/probe/server-witness.ts";
import { createManualClock } from "../../support/manual-clock.ts";

interface Line {
  /** Its server answers over it. */
  answers: boolean;
  isOpen: boolean;
  /** Its server ends it. */
  end(): void;
}

async function start(t: TestContext) {
  const clock = createManualClock();
  const lines: Line[] = [];
  const world = { isThere: true, guid: "ab", gone: 0 };
  const witness = await holdWitness({
    clock,
    connect(onGone) {
      if (!world.isThere) return Promise.resolve(null);
      const line: Line = { answers: true, isOpen: true, end: onGone };
      lines.push(line);
      const connection = {
        stillThere: () => Promise.resolve(line.answers && line.isOpen),
        [Symbol.dispose]: () => {
          line.isOpen = false;
        },
      };
      return Promise.resolve({ guid: world.guid, connection });
    },
    onGone: () => {
      world.gone += 1;
    },
  });
  t.after(() => witness?.[Symbol.dispose]());
  const open = () => lines.map(({ isOpen }) => isOpen);
  return { clock, lines, world, witness, open };
}

describe("a witness of a server", () => {
  test("A13 lives longer than one connection: a younger one takes over while the older one answers", async (t) => {
    const { clock, world, witness, lines, open } = await start(t);
    await clock.advance(65_000);
    assert.deepEqual(open(), [false, false, false, true]);
    assert.equal(await witness?.stillThere(1_000), true);
    assert.equal(world.gone, 0);
    lines.at(-1)?.end();
    assert.equal(world.gone, 1);
    assert.equal(await witness?.stillThere(1_000), false);
    await clock.advance(60_000);
    assert.deepEqual([world.gone, lines.length], [1, 4], "it is not made anew");
  });

  for (const [why, spoil] of [
    ["the older one has no answer", (line: Line) => (line.answers = false)],
    ["nobody answers now", (_: Line, world: { isThere: boolean }) => (world.isThere = false)],
    ["another server answers there", (_: Line, world: { guid: string }) => (world.guid = "cd")],
  ] as const) {
    test(`A13 no younger connection takes over when ${why}; it is tried again`, async (t) => {
      const { clock, lines, world, open } = await start(t);
      const [first] = lines;
      assert.ok(first !== undefined);
      spoil(first, world);
      await clock.advance(22_000);
      assert.deepEqual(open().slice(1).includes(true), false);
      assert.equal(first.isOpen, true);
      Object.assign(first, { answers: true });
      Object.assign(world, { isThere: true, guid: "ab" });
      await clock.advance(5_000);
      assert.deepEqual([first.isOpen, open().at(-1), world.gone], [false, true, 0]);
    });
  }

  test("A13 a server that nobody reaches has no witness, and one that is let go of is not renewed", async (t) => {
    const { clock, witness, lines, open, world } = await start(t);
    witness?.[Symbol.dispose]();
    await clock.advance(60_000);
    assert.deepEqual([open(), lines.length, world.gone], [[false], 1, 0]);
    const none = await holdWitness({
      clock,
      connect: () => Promise.resolve(null),
      onGone: () => assert.fail("there was none"),
    });
    assert.equal(none, null);
  });
});
