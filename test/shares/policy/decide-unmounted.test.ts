import assert from "node:assert/strict";
import { test } from "node:test";
import { World } from "../world.ts";

const OBSTACLES: readonly (readonly [string, (world: World) => void, RegExp])[] = [
  [
    "a variable that is not set",
    (world) => {
      world.spec = { ...world.spec, missingVariable: "NAS_PASSWORD" };
    },
    /NAS_PASSWORD/,
  ],
  [
    "a path that is taken",
    (world) => {
      world.taken = {
        id: "t",
        path: world.spec.mountPath,
        source: "/dev/sdb1",
        sameShare: false,
        route: null,
        processGone: false,
        madeByDriver: false,
      };
    },
    /\/volumes\/CORE is taken by \/dev\/sdb1$/,
  ],
  [
    "a driver that cannot mount",
    (world) => {
      world.driverProblem = { text: "rclone is not installed", hint: "Install it." };
    },
    /^rclone is not installed$/,
  ],
  [
    "hosts that refuse",
    (world) => {
      world.hosts.tb = "refused";
      world.hosts.fallback = "refused";
    },
    /^neither host answers: /,
  ],
];

for (const [what, happen, why] of OBSTACLES) {
  test(`By hand: whoever asks for a mount is told of ${what}, whatever an earlier try came to`, () => {
    const world = new World();
    happen(world);
    world.memory = { ...world.memory, lastError: "an earlier try" };
    world.ask({ kind: "mount" }).advance(20_000);
    assert.equal(world.lastOutcome?.result, "failed");
    assert.match(world.lastOutcome?.detail ?? "", why);
    assert.equal(world.lastOutcome?.hint, world.driverProblem?.hint ?? null);
  });
}
