// Appends numbered lines to a file that is there and stays open, each flushed.
// Arguments: LOG FILE
import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import { argument, startWork } from "./work-log.ts";

const BETWEEN_LINES_MS = 25;

const work = startWork(argument(0));
const file = openSync(argument(1), "a");
let line = 0;
while (!work.ending) {
  line++;
  await work.once("append", line, () => {
    writeSync(file, `line ${line}\n`);
    fsyncSync(file);
  });
  await work.rest(BETWEEN_LINES_MS);
}
await work.once("close", line, () => closeSync(file));
