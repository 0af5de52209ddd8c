// The command `mountaineer tools approve`.
import {
  fullName,
  isCalled,
  type ToolChange,
  type ToolChangesReport,
} from "../../../api/tool-changes-contract.ts";
import { MountaineerError } from "../../../runtime/errors.ts";
import { counted, harmless } from "../../../runtime/text/plain-text.ts";
import type { CommandDefinition } from "../../input/command.ts";
import { addJsonOption, readFlag, readText } from "../../input/options.ts";

export const toolsApproveCommand: CommandDefinition = {
  name: "tools approve",
  summary: "accept what servers show as it is now",
  description:
    "Tools, prompts, resources, and what servers say of themselves (instructions). Shows what it approves. What was " +
    "withheld is published at once; what changes again while you look is left waiting. An approved version that comes back later needs no new approval.",
  examples: [
    { command: "mountaineer tools approve read_file", does: "accept one" },
    { command: "mountaineer tools approve --backend files", does: "accept all of one server" },
    { command: "mountaineer tools approve files:instructions", does: "accept what a server says of itself" },
    { command: "mountaineer tools approve --all", does: "accept all that waits" },
  ],
  exits: {
    1: "something changed meanwhile, and was left",
    2: "nothing of that name waits, or several have it",
    8: "no daemon runs",
  },
  addOptions(command) {
    command
      .argument("[names...]", "the names that clients use or that the server gives, or BACKEND:NAME")
      .option("--backend <name>", "all that waits of this backend")
      .addOption(command.createOption("--all", "all that waits").conflicts("backend"));
    addJsonOption(command);
  },
  async run(context, options, names) {
    const chosen: Choice = { names, backend: readText(options, "backend"), all: readFlag(options, "all") };
    requireOneWay(chosen);
    const { signal } = context;
    const { withDaemon } = await import("../../sessions/control-session.ts");
    const { RUNNING_BACKENDS } = await import("../../sessions/gateway-session.ts");
    const { seen, report } = await withDaemon(context, RUNNING_BACKENDS, async ({ ask }) => {
      const whole = await ask("toolChanges", { tools: null }, signal);
      const changes = choose(whole, chosen);
      const items = changes.map(({ backend, tool, digest }) => ({ backend, tool, digest }));
      const outcome = await ask("approveTools", { items, begin_anew: chosen.all }, signal);
      return { seen: { ...whole, changes }, report: outcome };
    });
    if (readFlag(options, "json")) context.print(`${JSON.stringify(report, null, 2)}\n`);
    else {
      const { renderToolChanges } = await import("../../views/tool-changes-view.ts");
      const left = new Set(report.left.map(({ backend, tool }) => JSON.stringify([backend, tool])));
      const approved = seen.changes.filter(({ backend, tool }) => !left.has(JSON.stringify([backend, tool])));
      context.print(renderToolChanges({ ...seen, changes: approved }, context.stdoutStyle, false));
      const what = approved.every(({ what: kind }) => kind === undefined) ? "tool" : "change";
      context.note(`${counted(report.approved.length, what)} approved`);
    }
    for (const { backend, tool } of report.left) {
      context.note(
        `${harmless(tool)} of backend ${harmless(backend)} changed again meanwhile: look at it once more`,
      );
    }
    return report.left.length === 0 ? 0 : 1;
  },
};

interface Choice {
  readonly names: readonly string[];
  readonly backend: string | null;
  readonly all: boolean;
}

function requireOneWay({ names, backend, all }: Choice): void {
  const ways = [names.length > 0, backend !== null, all].filter(Boolean).length;
  if (ways === 1) return;
  throw new MountaineerError("usage", ways === 0 ? "nothing was named" : "things were named in two ways", {
    hint: "give names, or say --backend NAME, or --all; mountaineer tools diff shows what waits",
  });
}

/** Throws `usage` for a name that is nobody's, or that two backends have. */
function choose({ changes }: ToolChangesReport, { names, backend, all }: Choice): readonly ToolChange[] {
  if (all) return changes;
  if (backend !== null) return changes.filter((change) => change.backend === backend);
  return [...new Set(names)].map((name) => {
    const called = changes.filter((change) => isCalled(change, name));
    const exact = called.filter((change) => fullName(change) === name);
    const meant = exact.length > 0 ? exact : called;
    const [first, second] = meant;
    if (first === undefined) {
      throw new MountaineerError("usage", `nothing called ${harmless(name)} waits for approval`, {
        hint: "mountaineer tools diff shows what waits",
      });
    }
    if (second !== undefined) {
      const own = meant.map(fullName).map(harmless);
      throw new MountaineerError("usage", `several things that wait are called ${harmless(name)}`, {
        hint: `say which: ${own.join(", ")}`,
      });
    }
    return first;
  });
}
