// docs/project/conformance.md, from what the suites said.
import { CLIENT_REASONS } from "./reasons.ts";
import type { ClientRun, Revision, ServerRun } from "./runs.ts";

const INTRODUCTION = `# Conformance

\`\`\`sh
npx @modelcontextprotocol/conformance@0.1.16 server --url http://127.0.0.1:9000/mcp --suite all
\`\`\`

This plays the [official suite](https://github.com/modelcontextprotocol/conformance) against your gateway, with one server behind it, whose
names then pass unchanged. \`npm run conformance\` and \`.ci/nightly conformance\` play all suites, in every combination of versions and
transports, and compare with our servers without the gateway. Those are on the official SDK: \`test/mcp/fixtures/conformance-server.ts\` for
2025-11-25, and \`conformance-modern-server.ts\` next to it for 2026-07-28.
`;

const ENDING = `## SDKs of other languages

Python (\`mcp\` 2.3.0) and Go (1.8.0), each as an older and a newer client, and as a server over stdio and HTTP: 16 pairs, with lists
of 400 tools, progress, logs, cancelling, questions, subscriptions, and results of 2 MB. CI plays both generations of the TypeScript SDK
(\`test/mcp/matrix\`). \`.ci/nightly clients\` plays the rest. A client gets less than directly in three cases:

- The Go SDK's newest client asks for log messages only in 2025-11-25, and speaks 2026-07-28 with the gateway: \`SetLoggingLevel\` fails.
- A server that offers tools only to clients which answer questions has one list for all clients.
- Python's SDK ends an HTTP+SSE connection at an event over 1 MiB. It gets links to larger results; its lists must be smaller.

Experimental capabilities of a sole server are declared to clients, and its unspecified methods pass. Those of several servers are not
(Claude Code's channels, Codex's sandbox state).

## Programs and frameworks

\`.ci/nightly clients\` plays sixteen of them (\`test/world/clients/clients.ts\`), directly and through the gateway, and in one session through a
restart, a \`kill -9\` and an edit; \`.ci/run\` plays five. Each does through the gateway what it does directly. With any server:

| client | limit |
| --- | --- |
| Codex, Qwen Code | see a changed list in the next session; Codex does not speak SSE |
| Python and Go SDKs over SSE | need a new session after the daemon was killed |
| Pydantic AI | keeps its list in 2026-07-28 |
| Semantic Kernel | hangs when a list has changed |
`;

export interface Findings {
  readonly servers: readonly ServerRun[];
  readonly clients: readonly ClientRun[];
  readonly date: string;
  readonly versions: Readonly<Record<string, string>>;
}

export function conformanceDocument({ servers, clients, date, versions }: Findings): string {
  return [
    INTRODUCTION,
    `Run on ${date} with ${Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(", ")}.\n`,
    "## As a server\n",
    serverTable(servers),
    notReached(servers),
    "## As a client\n",
    clientTables(clients),
    ENDING,
  ].join("\n");
}

/** A row for each suite, a column for each server behind the gateway. */
function serverTable(runs: readonly ServerRun[]): string {
  const behind = [...new Set(runs.map(behindOf))];
  const rows = [...Map.groupBy(runs, ({ suite }) => `${suite.version}, ${suite.revision}`)].map(
    ([front, all]) => {
      const cells = behind.map((name) => {
        const outcome = all.find((run) => behindOf(run) === name)?.outcome;
        return outcome === undefined
          ? ""
          : `${outcome.scenarios.join("/")} ${outcome.passed}/${outcome.failed}`;
      });
      return `| ${front} | ${cells.join(" | ")} |`;
    },
  );
  return [
    "Scenarios passed of those that count, then checks passed/failed, by the server behind the gateway:\n",
    `| suite, version | ${behind.join(" | ")} |`,
    `|${" --- |".repeat(behind.length + 1)}`,
    ...rows,
    "",
  ].join("\n");
}

function behindOf({ behind }: ServerRun): string {
  return behind === null ? "no gateway" : `${behind.revision} ${behind.transport}`;
}

function notReached(runs: readonly ServerRun[]): string {
  const found = runs.flatMap(({ suite, behind, outcome }) =>
    outcome.missed.map((missed) => ({
      ...missed,
      where: whereOf(suite.revision, behind?.revision ?? null),
    })),
  );
  const lines = [...Map.groupBy(found, ({ reason, message }) => reason ?? message)].map(([reason, all]) => {
    const scenarios = [...new Set(all.map(({ scenario }) => `\`${scenario}\``))].join(", ");
    const where = [...new Set(all.map((each) => each.where))].join("; ");
    return `| ${scenarios} | ${where} | ${all.some(({ counts }) => counts) ? "yes" : "no"} | ${reason} |`;
  });
  return [
    "The gateway's lists come as JSON, so 2025-11-25 has one optional check less (`server-sse-streams-functional`).\n",
    "Scenarios that do not pass, and why:\n",
    "| scenario | where | counts | reason |",
    "| --- | --- | --- | --- |",
    ...lines,
    "",
  ].join("\n");
}

function whereOf(front: Revision, back: Revision | null): string {
  return back === null ? "directly" : `${front} → ${back}`;
}

function clientTables(runs: readonly ClientRun[]): string {
  const signing = runs.filter(({ front }) => front === null);
  const calling = runs.filter(({ front }) => front !== null);
  const count = (revision: Revision): string => {
    const of = signing.filter((run) => run.revision === revision);
    return `| \`auth/*\` of ${revision} | ${of.filter(({ failed }) => failed.length === 0).length} of ${of.length} |`;
  };
  const rows = [...Map.groupBy(calling, ({ scenario, revision }) => `\`${scenario}\` of ${revision}`)].map(
    ([scenario, both]) => `| ${scenario} | ${["2025-11-25", "2026-07-28"].map(cell(both)).join(" | ")} |`,
  );
  return [
    "The suite's server is behind a gateway; a client of the official SDK does what the scenario asks for. Checks passed:\n",
    "| scenario | front: 2025-11-25 | front: 2026-07-28 |",
    "| --- | --- | --- |",
    ...rows,
    "",
    ...[...Map.groupBy(Object.keys(CLIENT_REASONS), (scenario) => CLIENT_REASONS[scenario])].map(
      ([reason, scenarios]) => `Failed in ${scenarios.map((name) => `\`${name}\``).join(", ")}: ${reason}.\n`,
    ),
    "| signing in | scenarios passed |",
    "| --- | --- |",
    count("2025-11-25"),
    count("2026-07-28"),
    "",
    "Client credentials (2 scenarios), the `auth/*` of 2025-03-26 (2) and the scenarios for authorization servers (2) pass too",
    "(`test/mcp/conformance-sign-in.test.ts`). Extensions that are not spoken: DPoP (2), enterprise-managed authorization,",
    "workload identity.",
    "",
  ].join("\n");
}

const cell =
  (runs: readonly ClientRun[]) =>
  (front: string): string => {
    const run = runs.find((each) => each.front === front);
    if (run === undefined) return "–";
    if (run.failed.length === 0) return String(run.passed);
    const failed = run.scenario in CLIENT_REASONS ? "" : `: ${run.failed.join("; ").replaceAll("|", "\\|")}`;
    return `${run.passed}, ${run.failed.length} failed${failed}`;
  };
