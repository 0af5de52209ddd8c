// Saves a document over and over as editors do: a new file beside it, flushed, renamed over the old one.
// Arguments: LOG FILE
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { argument, startWork } from "./work-log.ts";

const BETWEEN_SAVES_MS = 120;

const work = startWork(argument(0));
const file = argument(1);
const textOf = (version: number): string => `version ${version}\n`.repeat(500);
for (let version = 1; !work.ending; version++) {
  const text = textOf(version);
  await work.twice("save", version, () => {
    const draft = openSync(`${file}.new`, "w");
    try {
      writeSync(draft, text);
      fsyncSync(draft);
    } finally {
      closeSync(draft);
    }
    renameSync(`${file}.new`, file);
  });
  await work.twice("open", version, () => {
    if (readFileSync(file, "utf8") !== text) throw new Error("what was saved is not what is read");
  });
  await work.rest(BETWEEN_SAVES_MS);
}
