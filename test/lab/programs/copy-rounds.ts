// Changes a local folder a little and copies it to the share, round after round.
// Arguments: LOG FROM TO HOW, which is rsync, cp or tar
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { runTool } from "./run-tool.ts";
import { argument, startWork } from "./work-log.ts";

const FILES = 8;
const BETWEEN_ROUNDS_MS = 200;

const work = startWork(argument(0));
const from = argument(1);
const to = argument(2);
const how = argument(3);
const COMMANDS: Readonly<Record<string, readonly [string, ...string[]]>> = {
  // Not the time: files of one size that were changed within its grain would look the same.
  rsync: ["rsync", "-r", "--checksum", "--delete", "--exclude=*.partial", `${from}/`, `${to}/`],
  cp: ["cp", "-a", `${from}/.`, to],
  // A shell tells by its end what the second of them says, who reads all that the first writes.
  tar: ["sh", "-c", 'tar -cf - -C "$0" . | tar -xf - -C "$1"', from, to],
};
const [file, ...args] = COMMANDS[how] ?? [how];
mkdirSync(path.join(from, "deep"), { recursive: true });
let isCopied = false;
// What it leaves is a whole copy.
for (let round = 1; !(work.ending && isCopied); round++) {
  const name = `file${round % FILES}.txt`;
  for (const each of [name, path.join("deep", name)])
    writeFileSync(path.join(from, each), `round ${round}\n`.repeat(1000));
  isCopied = await work.twice(how, round, async () => {
    await runTool(file, args, "/");
  });
  await work.rest(BETWEEN_ROUNDS_MS);
}
