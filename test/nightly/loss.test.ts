// Nothing written is lost in silence: a slice of the loss table, or all of it (MOUNTAINEER_LOSS=all), and by its seed
// (MOUNTAINEER_LOSS_SEED) again.
import test from "node:test";
import { missingForSmb } from "../../src/demo/stage/smb-available.ts";
import { randomFrom } from "../lab/random.ts";
import { ENDS, type End } from "../live/loss/ends.ts";
import { CHANGES, type LossRow, lossScene } from "../live/loss/scene.ts";

const needsSmb = { skip: (await missingForSmb("/nowhere")) ?? false };
const ALL = process.env["MOUNTAINEER_LOSS"] === "all";
const SEED = Number(process.env["MOUNTAINEER_LOSS_SEED"] ?? Date.now() % 100_000);
const ROUNDS = Number(process.env["MOUNTAINEER_LOSS_ROUNDS"] ?? (ALL ? 5 : 1));
const ROWS_OF_A_SLICE = 0.4;
/** It ends within a minute. */
const ENDS_OF_A_SLICE = 5;

/** Of these, in their order. */
function pickEnds(count: number, next: () => number): readonly End[] {
  const left = [...ENDS];
  while (left.length > count) left.splice(Math.floor(next() * left.length), 1);
  return left;
}

const ROWS: readonly LossRow[] = (["MOVES", "REMOUNTED"] as const).flatMap((share) =>
  CHANGES.flatMap((change) => (["open", "closed"] as const).map((held) => ({ share, change, held }))),
);

test(
  `A11 data written to files is on the server when the program that serves them, or the daemon, is killed or a cable cut; of a share that moves no open file fails for a cable or a daemon (${ALL ? "all" : "a slice"}, seed ${SEED})`,
  needsSmb,
  async (t) => {
    const startedAt = performance.now();
    const next = randomFrom(SEED);
    await using scene = await lossScene(t);
    for (let round = 0; round < ROUNDS; round++) {
      for (const end of pickEnds(ALL ? ENDS.length : ENDS_OF_A_SLICE, next)) {
        const rows = ALL ? ROWS : ROWS.filter(() => next() < ROWS_OF_A_SLICE);
        await scene
          .play({ end, rows, changedForMs: 50 + next() * (ALL ? 2500 : 1500) })
          .catch(async (error: unknown) => {
            // What the daemon and the programs said is gone with the test's folder.
            t.diagnostic(await scene.said());
            throw error;
          });
      }
    }
    t.diagnostic(`${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
  },
);
