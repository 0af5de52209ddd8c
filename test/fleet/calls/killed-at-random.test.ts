import { test } from "node:test";
import { needsNats } from "../nats-rig.ts";
import { killAtRandom } from "./killed-at-random.ts";

test(
  "G1 calls while machines are killed at random: none twice, none lost that was answered",
  needsNats,
  (t) => killAtRandom(t, { calls: 200, kills: 1, seed: 1 }),
);
