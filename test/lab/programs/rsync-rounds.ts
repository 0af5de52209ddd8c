// Changes a local folder a little and copies it to the share with rsync, round after round.
// Arguments: LOG FROM TO
import { writeFileSync } from "node:fs";
import path from "node:path";
import { runTool } from "./run-tool.ts";
import { argument, startWork } from "./work-log.ts";

const FILES = 8;
const BETWEEN_ROUNDS_MS = 200;

const work = startWork(argument(0));
const from = argument(1);
const to = argument(2);
for (let round = 1; !work.ending; round++) {
  writeFileSync(path.join(from, `file${round % FILES}.txt`), `round ${round}\n`.repeat(1000));
  await work.twice("rsync", round, async () => {
    // Not the time: files of one size that were changed within its grain would look the same.
    await runTool("rsync", ["-r", "--checksum", "--delete", `${from}/`, `${to}/`], "/");
  });
  await work.rest(BETWEEN_ROUNDS_MS);
}
