// The commands `mountaineer tools ...` and `mountaineer call`.

import type { ToolsReport } from "../../api/contract/contract.ts";
import {
  fullName,
  isCalled,
  type ToolChange,
  type ToolChangesReport,
} from "../../api/contract/tool-changes.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { pluralize, printable } from "../../runtime/text/plain-text.ts";
import { closestWord } from "../../runtime/text/suggest.ts";
import { type CommandContext, command, type GroupedCommands } from "../input/command.ts";
import { showJson, showResult } from "../input/options.ts";
import { callDaemon, show, withDaemon, withOperations } from "../sessions/control-session.ts";
import { listedOr, RUNNING_BACKENDS } from "../sessions/gateway-session.ts";

export const callCommand = command("call", {
  takesUrl: true,
  summary: "call a tool and print its answer",
  description:
    "Prints text with invisible characters spelled out, and describes other content; --json prints all. Ctrl-C cancels. Without a daemon it starts the server, and those that are not known yet.",
  examples: {
    [`mountaineer call read_text_file '{"path": "/tmp/notes.txt"}'`]: "call a tool",
    "mountaineer call search - < query.json": "with arguments from a file",
    'mountaineer call get-sum \'{"a": 1, "b": 2}\' --json | jq .content': "use the answer in a script",
  },
  exits: {
    1: "the tool or its server answered with an error (on stderr)",
    2: "there is no such tool, or the arguments are not a JSON object",
  },
  takes: {
    "<tool>": "its name, as tools list shows it",
    "[arguments]": "a JSON object, or - for stdin",
  },
  async run(context, { tool, arguments: text }) {
    const { readToolArguments } = await import("../input/tool-arguments.ts");
    const { answerJson, answerText, callFailure } = await import("../views/tools-view.ts");
    const { signal } = context;
    const request = { tool, arguments: await readToolArguments(text, context.stdin, signal) };
    const report = await show(context, "call", request);
    if (context.json && report.result !== null) context.print(answerJson(report.result));
    const failure = callFailure(report);
    if (failure !== null) throw new MountaineerError("tool_failed", failure);
    if (!context.json) context.print(answerText(report, { isTerminal: context.isTerminal }));
  },
});

export const toolsListCommand = command("tools list", {
  takesUrl: true,
  summary: "list the tools that the gateway publishes",
  description:
    "As MCP clients see them without policies. Servers that are not ready are named on stderr. Without a daemon it shows the last lists, and starts servers that are not known yet.",
  examples: {
    "mountaineer tools list": "see which tools there are",
    "mountaineer tools list --json | jq '.tools[] | {name, input_schema}'": "see each tool's arguments",
  },
  async run(context) {
    const { absentBackends } = await import("../views/tools-view.ts");
    const { signal } = context;
    const request = withOperations(context, "look", (call) =>
      Promise.all([call("tools", null, signal), call("status", null, signal)]),
    );
    const [report, { backends = [] }] = (await listedOr(context, request)) ?? [NO_TOOLS, {}];
    const { renderTools } = await import("../views/tools-view.ts");
    const off = (report.off ?? []).map((tool) => ({ ...tool, description: "(switched off)" }));
    showResult(context, report, () => renderTools([...report.tools, ...off], context.stdoutStyle));
    if (backends.length > 0 && report.tools.length === 0) context.notify("no tool is published");
    for (const line of absentBackends(backends, Date.now())) context.notify(line);
  },
});

const NO_TOOLS: ToolsReport = { tools: [] };

const CHANGED_ARGUMENT = {
  "[names...]": "the clients' or the server's names, or SERVER:NAME",
} as const;

const toolsDiffCommand = command("tools diff", {
  takesUrl: true,
  summary: "show how servers' tools and texts differ from the approved ones",
  description:
    "Models decide by these texts, so the gateway remembers them. Without a daemon it starts servers that are not known yet.",
  examples: {
    "mountaineer tools diff": "see all changes",
    "mountaineer tools diff read_file": "see the changes of one",
    "mountaineer tools diff files:read_file": "the same, if two servers have that name",
  },
  exits: { 0: "the differences are shown, if any" },
  takes: CHANGED_ARGUMENT,
  async run(context, { names }) {
    const tools = names.length === 0 ? null : [...names];
    const report = await show(context, "toolChanges", { tools });
    if (context.json) {
      showJson(context, report);
      return 0;
    }
    const { renderToolChanges } = await import("../views/tools-view.ts");
    context.print(renderToolChanges(report, context.stdoutStyle, tools === null));
    if (report.lost !== null) context.notify(`what servers showed before now is not known: ${report.lost}`);
    if (report.changes.length === 0) {
      context.notify(
        tools === null ? "all is as it was approved" : "nothing of that name is waiting for approval",
      );
    }
    return 0;
  },
});

const toolsApproveCommand = command("tools approve", {
  takesUrl: true,
  summary: "approve servers' tools and texts as they are now",
  description:
    "Shows each one. Withheld ones are published at once. An approved version that returns needs no new approval.",
  examples: {
    "mountaineer tools approve read_file": "approve one",
    "mountaineer tools approve --backend files": "approve everything of one server",
    "mountaineer tools approve files:instructions": "approve a server's instructions",
    "mountaineer tools approve --all": "approve everything that waits",
  },
  exits: {
    1: "something has changed since it was shown, and was not approved",
    2: "nothing of that name waits, or several do",
    8: "no daemon runs",
  },
  takes: {
    ...CHANGED_ARGUMENT,
    "--backend <name>": { about: "everything of this server that waits", completes: "backends" },
    "--all": { about: "everything that waits", conflicts: ["backend"] },
  },
  async run(context, chosen) {
    requireOneChoice(chosen);
    const { signal } = context;
    const { base, report } = await withDaemon(context, RUNNING_BACKENDS, async ({ call }) => {
      const whole = await call("toolChanges", { tools: null }, signal);
      const changes = choose(whole, chosen);
      const items = changes.map(({ backend, tool, digest }) => ({ backend, tool, digest }));
      const outcome = await call("approveTools", { items, discard_previous: chosen.all }, signal);
      return { base: { ...whole, changes }, report: outcome };
    });
    if (context.json) showJson(context, report);
    else {
      const { renderToolChanges } = await import("../views/tools-view.ts");
      const left = new Set(report.skipped.map(({ backend, tool }) => JSON.stringify([backend, tool])));
      const approved = base.changes.filter(({ backend, tool }) => !left.has(JSON.stringify([backend, tool])));
      context.print(renderToolChanges({ ...base, changes: approved }, context.stdoutStyle, false));
      const what = approved.every(({ what: kind }) => kind === undefined) ? "tool" : "change";
      context.notify(`${pluralize(report.approved.length, what)} approved`);
    }
    for (const { backend, tool } of report.skipped) {
      context.notify(
        `${printable(tool)} of server ${printable(backend)} has changed since it was shown: review it again`,
      );
    }
    return report.skipped.length === 0 ? 0 : 1;
  },
});

interface Choice {
  readonly names: readonly string[];
  readonly backend: string | null;
  readonly all: boolean;
}

function requireOneChoice({ names, backend, all }: Choice): void {
  const choices = [names.length > 0, backend !== null, all].filter(Boolean).length;
  if (choices === 1) return;
  throw new MountaineerError("usage", choices === 0 ? "nothing was named" : "things were named in two ways", {
    hint: "give names, or say --backend NAME, or --all; mountaineer tools diff shows what waits",
  });
}

/** The chosen changes. Throws `usage` for a name that no change has, or that several have. */
function choose({ changes }: ToolChangesReport, { names, backend, all }: Choice): readonly ToolChange[] {
  if (all) return changes;
  if (backend !== null) return changes.filter((change) => change.backend === backend);
  return [...new Set(names)].map((name) => {
    const called = changes.filter((change) => isCalled(change, name));
    const exact = called.filter((change) => fullName(change) === name);
    const meant = exact.length > 0 ? exact : called;
    const [first, second] = meant;
    if (first === undefined) {
      const close =
        closestWord(name, changes.map(fullName)) ??
        closestWord(
          name,
          changes.map(({ tool }) => tool),
        );
      throw new MountaineerError("usage", `nothing called ${printable(name)} waits for approval`, {
        hint:
          close === null ? "mountaineer tools diff shows what waits" : `did you mean ${printable(close)}?`,
      });
    }
    if (second !== undefined) {
      const own = meant.map(fullName).map(printable);
      throw new MountaineerError("usage", `several things that wait are called ${printable(name)}`, {
        hint: `say which: ${own.join(", ")}`,
      });
    }
    return first;
  });
}

const toolsDisableCommand = command("tools disable", {
  takesUrl: true,
  summary: "switch tools off, for all clients",
  description:
    "They leave the lists at once; calls in flight finish. No change of the server or the configuration switches them on again.",
  examples: { "mountaineer tools disable delete_file": "let no agent delete files" },
  exits: { 2: "there is no such tool; nothing was changed", 8: "no daemon runs" },
  takes: { "<name...>": "tools, as tools list shows them" },
  run: (context, { name }) => switchTools(context, name, false),
});

const toolsEnableCommand = command("tools enable", {
  takesUrl: true,
  summary: "switch tools on again",
  description: "Filters, pins and policies apply as before.",
  examples: { "mountaineer tools enable delete_file": "let agents delete files again" },
  exits: { 2: "there is no such tool; nothing was changed", 8: "no daemon runs" },
  takes: { "<name...>": "tools, as tools list shows them" },
  run: (context, { name }) => switchTools(context, name, true),
});

async function switchTools(context: CommandContext, tools: readonly string[], on: boolean): Promise<number> {
  const request = { tools: [...tools], on };
  const report = await callDaemon(context, RUNNING_BACKENDS, "switchTools", request);
  const state = on ? "on" : "off";
  showResult(context, report, () =>
    tools
      .map((name) => `${printable(name)} is ${report.switched.includes(name) ? "" : "already "}${state}\n`)
      .join(""),
  );
  return 0;
}

export const TOOLS_COMMANDS: GroupedCommands = {
  group: {
    name: "tools",
    summary: "see the tools that the gateway publishes, and how they changed",
    description: "Of all servers, under the names that clients see.",
    examples: {
      "mountaineer tools list": "see which tools there are",
      "mountaineer tools diff": "see which are not as they were",
      [`mountaineer call read_text_file '{"path": "/tmp/notes.txt"}'`]: "call one",
    },
  },
  commands: [
    toolsListCommand,
    toolsDiffCommand,
    toolsApproveCommand,
    toolsDisableCommand,
    toolsEnableCommand,
  ],
};
