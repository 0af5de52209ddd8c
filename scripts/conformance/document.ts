// docs/project/conformance.md, from what the suites said.
import { CLIENT_REASONS } from "./reasons.ts";
import type { ClientRun, Revision, ServerRun } from "./runs.ts";

const INTRODUCTION = `# Conformance

The official suites ([@modelcontextprotocol/conformance](https://github.com/modelcontextprotocol/conformance)) on the
gateway, as server and as client, in every combination of revisions and transports, compared with our fixtures without the gateway.
\`npm run conformance\` and \`.ci/nightly conformance\` run all of it, \`npm test\` a part.

The fixtures are our servers on the official SDK:
\`test/mcp/fixtures/conformance-server.ts\` (@modelcontextprotocol/sdk, for 2025-11-25) and
\`test/mcp/fixtures/conformance-modern-server.ts\` (@modelcontextprotocol/server, only for 2026-07-28). Both ask the same
questions: one by requests to its client, the other by \`input_required\`.
`;

const ENDING = `## SDKs of other languages

Python (\`mcp\` 2.3.0), FastMCP 4.1.2 and Go (1.8.0), each as a client in its older and its newest version and each as a server
over stdio and HTTP, 36 pairs: lists of 400 tools, calls, progress, log messages, cancelling, the three questions, state of a
session, subscriptions, and results of 2 MB at once, after a progress message and after 12 s. The TypeScript SDK's two generations
are played in each CI run (\`test/mcp/matrix\`). A client gets less than directly in three cases (\`.ci/nightly clients\`):

- The Go SDK's newest client asks for log messages only in 2025-11-25, which it speaks with a Go server over HTTP. With the gateway it speaks
  2026-07-28, and \`SetLoggingLevel\` fails.
- The list of a server that offers tools only to clients which answer questions (elicitation, sampling, roots) is one for all clients, also
  with \`instances = "per-client"\`: the gateway asks for it, and declares all three.
- Over HTTP+SSE a client on Python's SDK ends its connection at an event of more than 1 MiB: it gets a link to a larger result, which it
  reads in pieces; its lists must be smaller than that.

Of experimental capabilities, those of a sole server are declared to clients, and its unspecified methods pass. Those of several
servers are not declared: their messages do not say which server they mean (Claude Code's channels, Codex's sandbox state).

## Programs and frameworks

\`.ci/nightly clients\` plays sixteen of them (\`test/world/clients/clients.ts\`: Claude Code, Codex, Gemini CLI, Qwen Code, opencode,
Copilot CLI, the Python, Go and TypeScript SDKs, FastMCP, Pydantic AI, OpenAI's Agents SDK, Strands, Semantic Kernel and mcp-use),
those with a model in front of one of ours, over HTTP, SSE and stdio: directly, through the gateway, and in one session through a
restart, a \`kill -9\` and an edit; \`.ci/run\` plays five. Each does through the gateway what it does directly. These are the clients'
own, with any server:

- Codex and Qwen Code do not list again in a session when a list has changed: they see a new server in the next one. Codex does not speak SSE.
- Over SSE a stream ends with a daemon that is killed. Claude Code, opencode and others reconnect, and the calls until then fail; the
  Python and Go SDKs do not, and need a new session.
- Pydantic AI keeps its list in 2026-07-28, as it asks for no word of changes there.
- Semantic Kernel lists inside its message handler, and hangs when a list has changed.

## By hand

With a server of your own behind the gateway:

\`\`\`sh
npx @modelcontextprotocol/conformance@0.1.16 server --url http://127.0.0.1:9000/mcp --suite all
\`\`\`

A single backend's names pass untouched, which the suites need.
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

function serverTable(runs: readonly ServerRun[]): string {
  const rows = runs.map(({ suite, behind, outcome }) => {
    const where =
      behind === null
        ? "the fixture directly, over HTTP"
        : `behind it ${behind.revision}, ${behind.transport}`;
    const [passed, of] = outcome.scenarios;
    const front = `${suite.version}, ${suite.revision}`;
    return `| ${front} | ${where} | ${passed} of ${of} | ${outcome.passed} / ${outcome.failed} |`;
  });
  return [
    "| suite, revision in front | | scenarios that count | checks passed / failed |",
    "| --- | --- | --- | --- |",
    ...rows,
    "",
  ].join("\n");
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
    "In front of 2025-11-25 the gateway passes one check less than the fixture, and fails none: its lists come as JSON, and\n`server-sse-streams-functional` says then that streams are optional.\n",
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
    "The suite's server is the only backend of a gateway; a client of the official SDK does through it what the scenario",
    "asks for, or a person signs in.\n",
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
    if (run.failed.length === 0) return `${run.passed} passed`;
    const failed = run.scenario in CLIENT_REASONS ? "" : `: ${run.failed.join("; ").replaceAll("|", "\\|")}`;
    return `${run.passed} passed, ${run.failed.length} failed${failed}`;
  };
