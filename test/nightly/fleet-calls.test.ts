import { test } from "node:test";
import { killAtRandom } from "../fleet/calls/killed-at-random.ts";
import { needsNats } from "../fleet/nats-rig.ts";

test(
  "G1 10,000 calls while machines are killed at random: none twice, none lost that was answered",
  needsNats,
  (t) => killAtRandom(t, { calls: 10_000, kills: 40, seed: Date.now() }),
);
