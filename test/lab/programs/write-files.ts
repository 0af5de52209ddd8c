// Writes small numbered files into folders of a share, each flushed and closed before the next, while no file says that
// it shall rest.
// Arguments: LOG FOLDER RESTS
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, writeSync } from "node:fs";
import path from "node:path";
import { numberedFile, numberedText } from "./numbered-file.ts";
import { argument, startWork } from "./work-log.ts";

const BETWEEN_FILES_MS = 250;

const work = startWork(argument(0));
const folder = argument(1);
for (let number = 1; !work.ending; await work.rest(BETWEEN_FILES_MS)) {
  if (existsSync(argument(2))) continue;
  await work.once("write", number, () => write(number));
  number++;
}

function write(number: number): void {
  const file = path.join(folder, numberedFile(number));
  mkdirSync(path.dirname(file), { recursive: true });
  const written = openSync(file, "w");
  try {
    writeSync(written, numberedText(number));
    fsyncSync(written);
  } finally {
    closeSync(written);
  }
}
