// The gate of a rewrite of tests: makes the same small changes of sources under the tests of two commits, and lists those that
// the tests which the rewrite changed or removed noticed, and that nothing notices after it. Plays in copies of the commits,
// so that what is edited meanwhile changes nothing.
// Usage: bin/with-node scripts/compare-mutants.ts OLD NEW COUNT SEED PART-OF-A-SOURCE-PATH… [--files N] [--seconds N]
//        OLD and NEW are commits. Under NEW, after its changed test files, the N nearest others count, too (15).
import { execFile } from "node:child_process";
import { rm } from "node:fs/promises";
import path from "node:path";
import { parseArgs, promisify } from "node:util";
import { reachedFrom } from "./import-graph.ts";
import type { Mutant } from "./mutants.ts";
import {
  copyCommit,
  describeMutant,
  drawChanges,
  folderOfCopies,
  ROOT,
  readTree,
  type Tree,
  type Verdict,
  Workshop,
} from "./workshop.ts";

/** Of one commit: the workshop, and the test files whose text, or whose rigs' text, is another in the other commit. */
interface Side {
  readonly name: string;
  readonly workshop: Workshop;
  readonly changed: ReadonlySet<string>;
}

function changedTests(tree: Tree, changed: ReadonlySet<string>): Set<string> {
  const tests = [...tree.sources.keys()].filter((file) => file.endsWith(".test.ts"));
  return new Set(
    tests.filter((test) => [...reachedFrom(tree.graph, test)].some((file) => changed.has(file))),
  );
}

/** Plays the changed test files, then so many of the nearest others. A test that fails without a change notices none. */
async function play(side: Side, mutant: Mutant, others: number, signal: AbortSignal): Promise<Verdict> {
  const { workshop, changed } = side;
  for (;;) {
    const reaching = workshop.testsOf(mutant.file);
    const nearest = reaching.filter((test) => !changed.has(test)).slice(0, others);
    const verdict = await workshop.play(
      mutant,
      [...reaching.filter((test) => changed.has(test)), ...nearest],
      signal,
    );
    if (verdict.killer === null || (await workshop.isSound(verdict.killer, signal))) return verdict;
  }
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { files: { type: "string", default: "15" }, seconds: { type: "string", default: "240" } },
  });
  const [oldName = "", newName = "", count = "", seed = "", ...parts] = positionals;
  if (parts.length === 0) throw new Error("say OLD NEW COUNT SEED PART-OF-A-SOURCE-PATH…");
  const git = async (...args: string[]): Promise<string[]> =>
    (await promisify(execFile)("git", args, { cwd: ROOT, maxBuffer: 1 << 28 })).stdout.trim().split("\n");
  const diff = new Set(await git("diff", "--name-only", "--no-renames", oldName, newName, "--", "test"));
  const copies = await folderOfCopies();
  const copyOf = (index: number): string => path.join(copies, String(index));
  const sides = await Promise.all(
    [oldName, newName].map(async (commit, index): Promise<Side> => {
      const [name = ""] = await git("rev-parse", "--short", commit);
      await copyCommit(name, copyOf(index));
      const tree = await readTree(copyOf(index));
      const workshop = await Workshop.open(copyOf(index), tree, Number(values.seconds));
      return { name, workshop, changed: changedTests(tree, diff) };
    }),
  );
  const [before, after] = sides;
  if (before === undefined || after === undefined) throw new Error("two commits are needed");
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
  const { signal } = stop;
  const lost: Mutant[] = [];
  let [killedBefore, killedAfter, drawnCount] = [0, 0, 0];
  try {
    const drawn = await drawChanges(copyOf(0), Number(count), Number(seed), parts);
    for (const mutant of drawn) {
      const old = await play(before, mutant, 0, signal);
      const now = await play(after, mutant, old.killer === null ? 0 : Number(values.files), signal);
      if (signal.aborted) return 1;
      drawnCount++;
      if (old.killer !== null) killedBefore++;
      if (now.killer !== null) killedAfter++;
      const isLost = old.killer !== null && now.killer === null;
      if (isLost) lost.push(mutant);
      const told = `${before.name} ${old.killer ?? "-"}, ${after.name} ${now.killer ?? "-"}`;
      process.stdout.write(`${isLost ? "LOST" : "    "} ${told} | ${describeMutant(mutant)}\n`);
    }
  } finally {
    for (const { workshop } of sides) await workshop.close();
    await rm(copies, { recursive: true, force: true });
  }
  process.stdout.write(
    `${drawnCount} changes (seed ${seed}): ${killedBefore} killed by what ${before.name} had, ${killedAfter} in ${after.name}, ${lost.length} lost\n`,
  );
  return lost.length > 0 || drawnCount === 0 ? 1 : 0;
}

process.exitCode = await main();
