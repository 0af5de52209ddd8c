// Runs the official conformance suites on the fixtures alone and through the gateway, as server and as client, in every
// combination of revisions and transports, and writes docs/project/conformance.md. Needs a build.
// Usage: bin/with-node scripts/conformance.ts [--check] [--go-on] [PART…]. --check writes nothing. A part is a piece of a
// run's name ("0.1.16", "alone", "2026-07-28 2025-11-25 HTTP", "client"): only such runs are made, and nothing is written.
// --go-on keeps what was found before, by a run that was broken off or of parts, and does not run that again.
// It ends with the one line "N passed, N failed", where a failed check with a known reason is not counted.
import { appendFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { parseArgs } from "node:util";
import { conformanceDocument } from "./conformance/document.ts";
import { CLIENT_REASONS } from "./conformance/reasons.ts";
import { type ClientRun, clientRuns, type ServerRun, serverRuns } from "./conformance/runs.ts";

const ROOT = path.resolve(import.meta.dirname, "..");
const PAGE = path.join(ROOT, "docs/project/conformance.md");
/** The results of all runs, one JSON object per line. */
const FOUND = path.join(ROOT, ".tmp/conformance.jsonl");
const SHOWN_VERSIONS = [
  "@modelcontextprotocol/sdk",
  "@modelcontextprotocol/server",
  "@modelcontextprotocol/client",
  "conformance-0-1",
  "conformance-0-2",
];

async function versions(): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const name of SHOWN_VERSIONS) {
    const file = path.join(ROOT, "node_modules", name, "package.json");
    found[name.replace(/^conformance-.*/u, "conformance")] ??= "";
    const { version } = JSON.parse(await readFile(file, "utf8"));
    const shown = name.startsWith("conformance-") ? "conformance" : name;
    found[shown] = found[shown] === "" ? version : `${found[shown]} and ${version}`;
  }
  return found;
}

async function foundSoFar(): Promise<ReadonlyMap<string, ServerRun | ClientRun>> {
  const text = await readFile(FOUND, "utf8").catch(() => "");
  const runs = text.split("\n").filter((line) => line !== "");
  return new Map(runs.map((line) => JSON.parse(line)).map((run) => [run.name, run]));
}

async function keep(run: ServerRun | ClientRun): Promise<void> {
  await appendFile(FOUND, `${JSON.stringify(run)}\n`);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { check: { type: "boolean", default: false }, "go-on": { type: "boolean", default: false } },
});
if (!values["go-on"]) await rm(FOUND, { force: true });
await mkdir(path.dirname(FOUND), { recursive: true });
const before = await foundSoFar();
const asked: string[] = [];
const wanted = (name: string): boolean => {
  if (positionals.length > 0 && !positionals.some((part) => name.includes(part))) return false;
  asked.push(name);
  return !before.has(name);
};
for await (const run of serverRuns(wanted)) {
  await keep(run);
  sayServerRun(run);
}
for await (const run of clientRuns(wanted)) {
  await keep(run);
  sayClientRun(run);
}
const found = await foundSoFar();
const all = asked.flatMap((name) => found.get(name) ?? []);
if (!values.check && positionals.length === 0) {
  const date = new Date().toISOString().slice(0, 10);
  const servers = all.filter((run) => "suite" in run);
  const clients = all.filter((run) => "scenario" in run);
  await writeFile(PAGE, conformanceDocument({ servers, clients, date, versions: await versions() }));
  await rm(FOUND);
  say(`written: ${path.relative(ROOT, PAGE)}`);
}
const passed = all.reduce((sum, run) => sum + ("suite" in run ? run.outcome.passed : run.passed), 0);
const failed = all.reduce((sum, run) => sum + failedOf(run), 0);
say(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;

/** The failures without a known reason. */
function failedOf(run: ServerRun | ClientRun): number {
  if (!("suite" in run)) return run.scenario in CLIENT_REASONS ? 0 : run.failed.length;
  return run.outcome.missed.filter(({ reason, counts }) => reason === null && counts).length;
}

function sayServerRun({ suite, behind, outcome }: ServerRun): void {
  const where = behind === null ? "alone" : `behind it ${behind.revision}, ${behind.transport}`;
  const [reached, of] = outcome.scenarios;
  const counts = `${reached} of ${of}, ${outcome.passed} / ${outcome.failed}`;
  say(`${suite.version} ${suite.revision} ${where}: ${counts}`);
  for (const { scenario, check, message, reason, counts } of outcome.missed)
    if (reason === null) say(`  ${counts ? "FAILED" : "note"} ${scenario} ${check}: ${message}`);
}

function sayClientRun({ revision, scenario, front, passed, failed }: ClientRun): void {
  const who = front ?? "a person";
  say(`client ${revision} ${scenario} in front ${who}: ${passed} / ${failed.length}`);
  if (!(scenario in CLIENT_REASONS)) for (const each of failed) say(`  FAILED ${each}`);
}
