// Runs the official conformance suites on the fixtures alone and through the gateway, as server and as client, in every
// combination of revisions and transports, and writes docs/conformance.md. Needs a build.
// Usage: bin/with-node scripts/conformance.ts [--check] [PART…]. --check writes nothing. A part is a piece of a run's
// name ("0.1.16", "alone", "2026-07-28 2025-11-25 HTTP", "client"): only such runs are made, and nothing is written.
// It ends with the one line "N passed, N failed", where a failed check with a known reason is not counted.
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { parseArgs } from "node:util";
import { conformanceDocument } from "./conformance/document.ts";
import { type ClientRun, clientRuns, type ServerRun, serverRuns } from "./conformance/runs.ts";

const ROOT = path.resolve(import.meta.dirname, "..");
const PAGE = path.join(ROOT, "docs/conformance.md");
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

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { check: { type: "boolean", default: false } },
});
const wanted = (name: string): boolean =>
  positionals.length === 0 || positionals.some((part) => name.includes(part));
const servers: ServerRun[] = [];
const clients: ClientRun[] = [];
let passed = 0;
let failed = 0;
for await (const run of serverRuns(wanted)) {
  servers.push(run);
  const { suite, behind, outcome } = run;
  const where = behind === null ? "alone" : `behind it ${behind.revision}, ${behind.transport}`;
  const [reached, of] = outcome.scenarios;
  say(
    `${suite.version} ${suite.revision} ${where}: ${reached} of ${of}, ${outcome.passed} / ${outcome.failed}`,
  );
  const unexplained = outcome.missed.filter(({ reason, counts }) => reason === null && counts);
  for (const { scenario, check, message, reason, counts } of outcome.missed)
    if (reason === null) say(`  ${counts ? "FAILED" : "note"} ${scenario} ${check}: ${message}`);
  passed += outcome.passed;
  failed += unexplained.length;
}
for await (const run of clientRuns(wanted)) {
  clients.push(run);
  say(
    `client ${run.revision} ${run.scenario} in front ${run.front ?? "a person"}: ${run.passed} / ${run.failed.length}`,
  );
  for (const each of run.failed) say(`  FAILED ${each}`);
  passed += run.passed;
  failed += run.failed.length;
}
if (!values.check && positionals.length === 0) {
  const date = new Date().toISOString().slice(0, 10);
  await writeFile(PAGE, conformanceDocument({ servers, clients, date, versions: await versions() }));
  say(`written: ${path.relative(ROOT, PAGE)}`);
}
say(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
