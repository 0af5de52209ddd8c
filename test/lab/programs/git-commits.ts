// Changes a file of a git repository on the share and commits it, again and again.
// Arguments: LOG REPOSITORY
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { runTool } from "./run-tool.ts";
import { argument, startWork } from "./work-log.ts";

const BETWEEN_COMMITS_MS = 250;

const work = startWork(argument(0));
const repository = argument(1);
const git = (...args: readonly string[]): Promise<string> => runTool("git", args, repository);
for (let commit = 1; !work.ending; commit++) {
  await work.twice("commit", commit, async () => {
    removeLocks();
    writeFileSync(path.join(repository, "notes.txt"), `commit ${commit}\n`);
    await git("add", "notes.txt");
    // The first try may have committed before its error.
    const last = (await git("log", "-1", "--format=%s")).trim();
    if (last !== `commit ${commit}`) await git("commit", "--quiet", "-m", `commit ${commit}`);
  });
  await work.rest(BETWEEN_COMMITS_MS);
}

/** As git asks for: one that is left was not removed in a cut, and would end all work in the repository. */
function removeLocks(): void {
  for (const name of readdirSync(path.join(repository, ".git"), { recursive: true, encoding: "utf8" }))
    if (name.endsWith(".lock")) rmSync(path.join(repository, ".git", name));
}
