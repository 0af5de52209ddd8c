import test from "node:test";
import { tellSteps } from "../live/handover-steps/told-steps.ts";

/** Only steps with that in their name, to try them out. */
const ONLY = process.env["MOUNTAINEER_STEPS"] ?? "";

test(
  "B11 a handover that fails at any step, and a kill -9 of either daemon at any step, leaves one daemon in charge",
  {
    skip: process.platform === "linux" ? false : "reads /proc",
  },
  (t) => tellSteps(t, (faults) => faults.filter(({ step }) => step.includes(ONLY))),
);
