// Nothing written is lost in silence: a slice of the loss table, or all of it (MOUNTAINEER_LOSS=all), and by its seed
// (MOUNTAINEER_LOSS_SEED) again.
import test from "node:test";
import { missingForPlainRig } from "../../src/demo/plain-rig.ts";
import { CHANGES, ENDS, type LossRow, lossScene } from "../live/loss-table.ts";

const needsSmb = { skip: missingForPlainRig() ?? false };
const ALL = process.env["MOUNTAINEER_LOSS"] === "all";
const SEED = Number(process.env["MOUNTAINEER_LOSS_SEED"] ?? Date.now() % 100_000);
const ROUNDS_OF_ALL = 5;

/** Numbers from 0 to 1, the same for the same seed. */
function numbersOf(seed: number): () => number {
  let state = seed % 2_147_483_647 || 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

const ROWS: readonly LossRow[] = CHANGES.flatMap((change) =>
  (["open", "closed"] as const).map((held) => ({ change, held })),
);

test(
  `A11 files that existed and are changed when what serves them ends are on the server, or set aside and named (${ALL ? "all" : "a slice"}, seed ${SEED})`,
  needsSmb,
  async (t) => {
    const next = numbersOf(SEED);
    await using scene = await lossScene(t);
    for (let round = 0; round < (ALL ? ROUNDS_OF_ALL : 1); round++) {
      for (const end of ENDS) {
        const rows = ALL ? ROWS : ROWS.filter(() => next() < 0.5);
        await scene
          .play({ end, rows, carried: false, changedForMs: 50 + next() * 2500 })
          .catch(async (error: unknown) => {
            // What the daemon and rclone said is gone with the test's folder.
            t.diagnostic(await scene.said());
            throw error;
          });
      }
    }
  },
);
