import test from "node:test";
import { sha256Of } from "../../src/runtime/files/sha256.ts";
import type { Fault } from "../live/handover-steps/steps.ts";
import { tellSteps } from "../live/handover-steps/told-steps.ts";

const SEED = process.env["MOUNTAINEER_SEED"] ?? "261123";
const PLAYED = 8;
/** What everybody thinks of first: either one is killed while the next one is made, and when it is ready. */
const ALWAYS = ["old starts the next one", "new sends ready", "old hears ready"];

/** Drawn by their names: which steps there are, and in which order, is a little different each time. */
function drawn(faults: readonly Fault[]): readonly Fault[] {
  const lots = new Map(faults.map((fault) => [sha256Of(`${SEED} ${fault.step} ${fault.how}`), fault]));
  const others = [...lots].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, fault]) => fault);
  const always = faults.filter(({ step, how }) => how === "is killed" && ALWAYS.includes(step));
  return [...always, ...others.filter((fault) => !always.includes(fault)).slice(0, PLAYED)];
}

// All of them play by night.
test(
  "B11 a handover that fails at some step, and a kill -9 of either daemon at some step, leaves one daemon in charge",
  {
    skip: process.platform === "linux" ? false : "reads /proc",
  },
  (t) => tellSteps(t, drawn),
);
