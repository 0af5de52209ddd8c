// Saves a document over and over with vim, which notes each save that it made: it may end with 0 without one.
// Arguments: LOG FILE
import { rm, stat } from "node:fs/promises";
import { runTool } from "./run-tool.ts";
import { argument, startWork } from "./work-log.ts";

const BETWEEN_SAVES_MS = 200;

const work = startWork(argument(0));
const file = argument(1);
/** Beside the log, on a local disk. */
const note = `${argument(0)}.written`;
for (let version = 1; !work.ending; version++) {
  await work.twice("save", version, async () => {
    await rm(note, { force: true });
    const noting = `+autocmd BufWritePost * call writefile([], ${JSON.stringify(note)})`;
    // It goes on to the last one only if it could not write.
    const commands = [noting, `+%s/.*/version ${version}/`, "+wq", "+cquit!"];
    // It asks whether to write where the file's time changed since it was read.
    await runTool("vim", ["-u", "NONE", "-n", "-es", ...commands, file], "/", "y");
    await stat(note);
  });
  await work.rest(BETWEEN_SAVES_MS);
}
