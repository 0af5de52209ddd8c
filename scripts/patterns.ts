// Every regular expression of src has a verdict in patterns/verdicts.json: it is linear, or its text is bounded, or the text is our
// own. recheck (MIT) is asked about new ones only.
// Usage: bin/with-node scripts/patterns.ts           asks about new patterns, and records the linear ones
//        bin/with-node scripts/patterns.ts --check   the same, and records nothing
//        bin/with-node scripts/patterns.ts --all     asks about all of them again, in minutes
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { parseArgs } from "node:util";
import { TEXT_BOUNDS } from "../src/runtime/text/bounds.ts";
import { scanSource } from "./source-scan.ts";

const ROOT = path.resolve(import.meta.dirname, "..");
const VERDICTS = path.join(import.meta.dirname, "patterns/verdicts.json");
/** What one match may take at the longest text. */
const MOST_MS = 1;
const TIMEOUT_MS = 40_000;

/**
 * By pattern, and for `new RegExp` by file and beginning: `linear`, `bound: ROW` (a row of `TEXT_BOUNDS`), or `own: REASON`, for
 * texts that nobody else writes.
 */
type Verdicts = Readonly<Record<"patterns" | "made", Readonly<Record<string, string>>>>;

interface Answer {
  readonly status: "safe" | "vulnerable" | "unknown";
  readonly attack?: {
    readonly pattern: string;
    readonly pumps: readonly { readonly prefix: string; readonly pump: string }[];
    readonly suffix: string;
  };
}

const { values } = parseArgs({ options: { check: { type: "boolean" }, all: { type: "boolean" } } });
const verdicts: Verdicts = JSON.parse(readFileSync(VERDICTS, "utf8"));
const faults: string[] = [];
const found = { patterns: new Map<string, string>(), made: new Map<string, string>() };

for (const file of globSync("src/**/*.{ts,tsx}", { cwd: ROOT }).sort()) {
  const source = readFileSync(path.join(ROOT, file), "utf8");
  const { patterns, code } = scanSource(source);
  for (const one of patterns) found.patterns.set(`/${one.source}/${one.flags}`, `${file}:${one.line}`);
  for (const { index } of code.matchAll(/new RegExp\(/g)) {
    const line = source.slice(0, index).split("\n").length;
    const beginning = source
      .slice(index, index + 200)
      .replace(/\s+/g, " ")
      .slice(0, 60);
    found.made.set(`${file}: ${beginning}`, `${file}:${line}`);
  }
}

const known: Record<string, string> = {};
for (const [pattern, where] of found.patterns) {
  const verdict = verdicts.patterns[pattern];
  if (verdict !== undefined && values.all !== true) known[pattern] = verdict;
  else if (verdict?.startsWith("own: ") === true) known[pattern] = verdict;
  else judge(pattern, where, verdict);
}
for (const [place, where] of found.made)
  if (verdicts.made[place] === undefined)
    faults.push(`${where}: a pattern that is put together needs a verdict by hand in "made": ${place}`);
const made = Object.fromEntries(Object.entries(verdicts.made).filter(([place]) => found.made.has(place)));
const sorted = Object.fromEntries(Object.entries(known).sort(([a], [b]) => (a < b ? -1 : 1)));
if (values.check !== true)
  writeFileSync(VERDICTS, `${JSON.stringify({ patterns: sorted, made }, null, 2)}\n`);
for (const fault of faults) process.stdout.write(`${fault}\n`);
process.exitCode = faults.length > 0 ? 1 : 0;

function judge(pattern: string, where: string, verdict: string | undefined): void {
  const end = pattern.lastIndexOf("/");
  const [source, flags] = [pattern.slice(1, end), pattern.slice(end + 1)];
  // Its program without native parts, which gives the same answers everywhere.
  const { checkSync } = createRequire(import.meta.url)("recheck/lib/browser.js");
  const answer: Answer = checkSync(source, flags, { timeout: TIMEOUT_MS });
  if (answer.status === "safe") {
    known[pattern] = "linear";
    return;
  }
  const row = verdict?.startsWith("bound: ") === true ? verdict.slice("bound: ".length) : "";
  const bound = new Map(Object.entries(TEXT_BOUNDS)).get(row);
  const took =
    bound === undefined ? Number.POSITIVE_INFINITY : attackMs(new RegExp(source, flags), answer, bound.most);
  if (verdict !== undefined && took <= MOST_MS) known[pattern] = verdict;
  else
    faults.push(
      `${where}: ${pattern} is not linear (${answer.attack?.pattern ?? answer.status}). Write it otherwise; or give its text a row in src/runtime/text/bounds.ts at which this attack takes ${MOST_MS} ms, and the verdict "bound: ROW"; or, where nobody else writes the text, "own: REASON"`,
    );
}

/** The time of recheck's own attack at that length, the best of five. */
function attackMs(pattern: RegExp, { attack }: Answer, characters: number): number {
  if (attack === undefined) return Number.POSITIVE_INFINITY;
  const fixed = attack.pumps.reduce((sum, { prefix }) => sum + prefix.length, attack.suffix.length);
  const times = Math.max(
    1,
    (characters - fixed) / attack.pumps.reduce((sum, { pump }) => sum + pump.length, 0),
  );
  const text = attack.pumps.map(({ prefix, pump }) => prefix + pump.repeat(times)).join("") + attack.suffix;
  const each = Array.from({ length: 5 }, () => {
    const beganMs = performance.now();
    text.slice(0, characters).search(pattern);
    return performance.now() - beganMs;
  });
  return Math.min(...each);
}
