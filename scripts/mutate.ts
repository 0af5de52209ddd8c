// Mutation testing: makes one small change of the sources at a time, and lists the changes that no test notices. Not part of
// `npm test`. Works in copies of the checkout, which it removes; never changes the checkout itself.
// Usage: bin/with-node scripts/mutate.ts [--seed N] [--count N] [--list] [--only ID,ID…] [--in PART-OF-PATH]
//        [--files N] [--seconds N] [--workers N] [--out FILE]
import { appendFile, rm } from "node:fs/promises";
import path from "node:path";
import { parseArgs } from "node:util";
import type { Mutant } from "./mutants.ts";
import {
  copyCheckout,
  describeMutant,
  drawChanges,
  folderOfCopies,
  ROOT,
  readTree,
  type Verdict,
  Workshop,
} from "./workshop.ts";

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seed: { type: "string" },
      count: { type: "string", default: "100" },
      list: { type: "boolean", default: false },
      only: { type: "string" },
      in: { type: "string", default: "src/" },
      files: { type: "string", default: "15" },
      seconds: { type: "string", default: "120" },
      workers: { type: "string", default: "2" },
      out: { type: "string" },
    },
  });
  const seed = Number(values.seed ?? Math.floor(Math.random() * 1_000_000));
  let drawn = await drawChanges(ROOT, Number(values.count), seed, [values.in]);
  if (values.only !== undefined) {
    const wanted = new Set(values.only.split(","));
    drawn = drawn.filter(({ id }) => wanted.has(id));
  }
  if (values.list) {
    for (const mutant of drawn) process.stdout.write(`${describeMutant(mutant)}\n`);
    return 0;
  }

  const note = async (text: string): Promise<void> => {
    process.stdout.write(`${text}\n`);
    if (values.out !== undefined) await appendFile(values.out, `${text}\n`);
  };
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
  const files = Number(values.files);
  const tree = await readTree(ROOT);
  const play = (workshop: Workshop, mutant: Mutant): Promise<Verdict> =>
    workshop.play(mutant, workshop.testsOf(mutant.file).slice(0, files), stop.signal);
  const verdicts: Verdict[] = [];
  const tell = ({ mutant, killer, reason, files, isCut }: Verdict): Promise<void> => {
    const survived = isCut ? `CUT SHORT after ${files} files` : `SURVIVED ${files} files`;
    return note(
      `${killer === null ? survived : `killed by ${killer}: ${reason}`} | ${describeMutant(mutant)}`,
    );
  };
  const startedAt = performance.now();
  const copies = await folderOfCopies();
  const workshops = await Promise.all(
    Array.from({ length: Number(values.workers) }, async (_, index) => {
      const copy = path.join(copies, String(index));
      await copyCheckout(copy);
      return Workshop.open(copy, tree, Number(values.seconds));
    }),
  );
  try {
    const waiting = drawn.values();
    const inAll = (work: (workshop: Workshop) => Promise<void>): Promise<unknown> =>
      Promise.all(workshops.map(work));
    await inAll(async (workshop) => {
      for (const mutant of waiting) {
        if (stop.signal.aborted) return;
        const verdict = await play(workshop, mutant);
        // An interrupted run proves nothing.
        if (stop.signal.aborted) return;
        verdicts.push(verdict);
        await tell(verdict);
      }
    });
    // A test that fails on unchanged sources as well has not noticed the change.
    const doubtful = verdicts.entries();
    await inAll(async (workshop) => {
      for (const [index, { mutant, killer }] of doubtful) {
        let verdict = verdicts[index];
        while (verdict?.killer != null && !(await workshop.isSound(verdict.killer, stop.signal))) {
          if (stop.signal.aborted) return;
          await note(`fails on unchanged sources, not counted: ${verdict.killer}`);
          verdict = await play(workshop, mutant);
          verdicts[index] = verdict;
        }
        if (verdict !== undefined && verdict.killer !== killer) await tell(verdict);
      }
    });
  } finally {
    for (const workshop of workshops) await workshop.close();
    await rm(copies, { recursive: true, force: true });
  }
  if (stop.signal.aborted) return 1;
  const perMinute = (drawn.length / (performance.now() - startedAt)) * 60_000;
  const noticedByNone = verdicts.filter(({ killer }) => killer === null);
  const cut = noticedByNone.filter(({ isCut }) => isCut);
  const survivors = noticedByNone.filter(({ isCut }) => !isCut);
  await note(
    `${drawn.length - noticedByNone.length} of ${drawn.length} killed, ${cut.length} cut short (seed ${seed}), ${perMinute.toFixed(1)} a minute`,
  );
  for (const { mutant } of survivors) await note(`  survivor: ${describeMutant(mutant)}`);
  for (const { mutant } of cut) await note(`  cut short: ${describeMutant(mutant)}`);
  return noticedByNone.length * 10 > drawn.length ? 1 : 0;
}

process.exitCode = await main();
