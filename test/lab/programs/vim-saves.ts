// Saves a document over and over with vim, which is told by its end that all of it is written.
// Arguments: LOG FILE
import { runTool } from "./run-tool.ts";
import { argument, startWork } from "./work-log.ts";

const BETWEEN_SAVES_MS = 200;

const work = startWork(argument(0));
const file = argument(1);
for (let version = 1; !work.ending; version++) {
  await work.twice("save", version, async () => {
    // It goes on to the last one only if it could not write.
    const commands = [`+%s/.*/version ${version}/`, "+wq", "+cquit!"];
    await runTool("vim", ["-u", "NONE", "-n", "-es", ...commands, file], "/");
  });
  await work.rest(BETWEEN_SAVES_MS);
}
