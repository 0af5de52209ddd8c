// `npm run soak -- --minutes N --seed S`: does everything to Mountaineer at once, at random, and checks what it promises.
// `--kills N`: so many of its processes are ended by SIGKILL meanwhile, of any kind.
// Ends with one line, "N passed, N failed", of promises. Needs what the root rig needs, and a build.
import { parseArgs } from "node:util";
import { playSoak } from "../test/lab/soak/soak.ts";
import { missingForRootRig } from "../test/rig/root-rig.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "3" },
    seed: { type: "string", default: "1" },
    kills: { type: "string", default: "0" },
  },
});
const minutes = Number(values.minutes);
const seed = Number(values.seed);
const kills = Number(values.kills);
const say = (line: string): void => void process.stdout.write(`${line}\n`);

if (!(minutes > 0) || !Number.isInteger(seed) || !(Number.isInteger(kills) && kills >= 0)) {
  process.stderr.write("Usage: npm run soak -- [--minutes N] [--seed S] [--kills N]\n");
  process.exitCode = 2;
} else {
  const missing = missingForRootRig();
  if (missing !== null) {
    say(`not played: ${missing}`);
    if (process.env["CI"] === "true") process.exitCode = 1;
  } else {
    say(`soak of ${minutes} min, seed ${seed}${kills > 0 ? `, ${kills} kills` : ""}`);
    const { kept, failed } = await playSoak({ minutes, seed, kills, say });
    say(`${kept} passed, ${failed} failed`);
    if (failed > 0) process.exitCode = 1;
  }
}
