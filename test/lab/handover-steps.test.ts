import test from "node:test";
import { tellSteps } from "../live/handover-steps/told-steps.ts";
import { randomFrom, shuffle } from "./random.ts";

const SEED = Number(process.env["MOUNTAINEER_SEED"] ?? 261_123);
const PLAYED = 10;

// All of them play by night.
test(
  "B11 a handover that fails at some step, and a kill -9 of either daemon at some step, leaves one daemon in charge",
  {
    skip: process.platform === "linux" ? false : "reads /proc",
  },
  (t) => tellSteps(t, (faults) => shuffle(randomFrom(SEED), faults).slice(0, PLAYED)),
);
