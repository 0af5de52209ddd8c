// Dead connections that a mount keeps are dropped one round at a time, and the carrier hears when none is left.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { MountDriver } from "../../../src/shares/drivers/mount-driver.ts";
import { createDropLost } from "../../../src/shares/engine/drop-lost.ts";
import type { Subject } from "../../../src/shares/engine/share-subject.ts";
import { settle } from "../../support/manual-clock.ts";

function stage() {
  const said: string[] = [];
  const rounds: (() => void)[] = [];
  const carriage = {
    of: () => null,
    usedUp: async (share: string) => void said.push(`used up ${share}`),
  };
  const driver = {
    dropLost: (_share: unknown, kept: number) =>
      new Promise<void>((resolve) => {
        said.push(`drop, ${kept} kept`);
        rounds.push(resolve);
      }),
  } as Partial<MountDriver> as MountDriver;
  const subject = { spec: { name: "CORE" } as Subject["spec"], driver };
  return { said, subject, drop: createDropLost(carriage), endRound: () => rounds.shift()?.() };
}

describe("dropping what a mount keeps of dead connections", () => {
  it("A10 tells the carrier when it is done", async () => {
    const { said, subject, drop, endRound } = stage();
    drop(subject);
    await settle();
    assert.deepEqual(said, ["drop, 0 kept"]);
    endRound();
    await settle();
    assert.deepEqual(said, ["drop, 0 kept", "used up CORE"]);
  });

  it("A10 what is lost meanwhile is dropped in one more round, before the carrier hears", async () => {
    const { said, subject, drop, endRound } = stage();
    for (let notices = 0; notices < 3; notices++) drop(subject);
    endRound();
    await settle();
    assert.deepEqual(said, ["drop, 0 kept", "drop, 0 kept"]);
    endRound();
    await settle();
    assert.deepEqual(said.slice(2), ["used up CORE"]);
    drop(subject);
    await settle();
    assert.equal(said.at(-1), "drop, 0 kept", "it can be asked for again");
    endRound();
  });
});
