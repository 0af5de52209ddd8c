// Has its working directory on the share, and looks at it by its relative name.
// Arguments: LOG FOLDER
import { statSync } from "node:fs";
import { argument, startWork } from "./work-log.ts";

const BETWEEN_LOOKS_MS = 50;

const work = startWork(argument(0));
const folder = argument(1);
process.chdir(folder);
const { ino } = statSync(".");
const name = process.cwd();
for (let look = 1; !work.ending; look++) {
  await work.once("look", look, () => {
    if (process.cwd() !== name) throw new Error(`the working directory is ${process.cwd()}, not ${name}`);
    const now = statSync(".").ino;
    if (now !== ino) throw new Error("the working directory is another folder");
  });
  await work.rest(BETWEEN_LOOKS_MS);
}
