import assert from "node:assert/strict";
import { test } from "node:test";
import { BackendWorld } from "./backend-world.ts";

test("C3 lists that could not be read are asked for again, until they are read", () => {
  const world = new BackendWorld();
  world.look();
  world.advance(1_000);
  const refreshes = () => world.steps.filter(({ kind }) => kind === "refresh").length;
  world.advance(120_000);
  assert.equal(refreshes(), 0, "nothing is stale");
  world.makeStale("no answer");
  world.advance(60_000);
  assert.equal(refreshes(), 1);
  assert.equal(world.memory.refresh, null);
  world.advance(120_000);
  assert.equal(refreshes(), 1);
});
