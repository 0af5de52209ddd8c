// Counts the names and phrases that the rules do not want (`words/rules.ts`). Counts may only fall: `words/counts.json` has
// the lowest so far.
// Usage: bin/with-node scripts/words.ts            counts by rule
//        bin/with-node scripts/words.ts --list RULE  where each is; RULE is an area or the name of a rule, or a part of it
//        bin/with-node scripts/words.ts --check    exit 1 if a count has risen
//        bin/with-node scripts/words.ts --write    records counts that have fallen
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { type Finding, findInFile } from "./words/find.ts";
import { GO_NAME_RULES, NAME_RULES, PHRASE_RULES } from "./words/rules.ts";

const ROOT = path.resolve(import.meta.dirname, "..");
const COUNTS = path.join(import.meta.dirname, "words/counts.json");
const FILES = [
  ...["src/**/*.ts", "src/**/*.tsx", "test/**/*.ts"],
  ...["docs/**/*.md", "README.md", "CONTRIBUTING.md", "SECURITY.md", "mount/README.md"],
  "mount/**/*.go",
];

process.stdout.on("error", () => process.exit()); // `| head` has read enough

const { values } = parseArgs({
  options: { list: { type: "string" }, check: { type: "boolean" }, write: { type: "boolean" } },
});

const files = execFileSync("git", ["ls-files", ...FILES.map((glob) => `:(glob)${glob}`)], {
  cwd: ROOT,
  encoding: "utf8",
  maxBuffer: 1 << 26,
});
const findings: readonly Finding[] = files
  .trim()
  .split("\n")
  .filter((file) => existsSync(path.join(ROOT, file)))
  .flatMap((file) => findInFile(file, readFileSync(path.join(ROOT, file), "utf8")));
const byRule = Map.groupBy(findings, ({ rule }) => rule);
const countOf = (rule: string): number => byRule.get(rule)?.length ?? 0;
const lowest: Readonly<Record<string, number>> = JSON.parse(readFileSync(COUNTS, "utf8"));

if (values.list !== undefined) {
  for (const { rule, where } of findings) if (rule.includes(values.list)) print(`${rule}  ${where}`);
} else if (values.check === true) {
  const risen = [...byRule.keys()].filter((rule) => countOf(rule) > (lowest[rule] ?? 0));
  for (const rule of risen) {
    print(`${rule}: ${lowest[rule] ?? 0} → ${countOf(rule)}. Write instead: ${insteadOf(rule)}`);
    print(`  all of them: npm run words -- --list '${rule}'`);
  }
  process.exitCode = risen.length > 0 ? 1 : 0;
} else if (values.write === true) {
  const fallen = Object.entries(lowest).flatMap(([rule, count]) => {
    const now = Math.min(count, countOf(rule));
    return now === 0 ? [] : [[rule, now] as const];
  });
  writeFileSync(COUNTS, `${JSON.stringify(Object.fromEntries(fallen.sort()), null, 2)}\n`);
} else {
  for (const rule of [...byRule.keys()].sort()) print(`${countOf(rule)}\t${rule} → ${insteadOf(rule)}`);
}

function insteadOf(rule: string): string {
  const name = rule.slice(rule.indexOf(" ") + 1);
  if (/^(go-)?names /.test(rule))
    return [...NAME_RULES, ...GO_NAME_RULES].find(({ words }) => words[0] === name)?.instead ?? "";
  return PHRASE_RULES.find((phrase) => phrase.name === name)?.instead ?? "";
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
