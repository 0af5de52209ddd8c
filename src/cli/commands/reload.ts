// The command `mountaineer reload`.
import type { NameChanges } from "../../api/contract.ts";
import type { CommandContext, CommandDefinition } from "../input/command.ts";
import { addJsonOption, readFlag } from "../input/options.ts";
import type { DaemonPurpose } from "../sessions/control-session.ts";

export const reloadCommand: CommandDefinition = {
  name: "reload",
  summary: "have the daemon read its configuration again, now",
  description:
    "A daemon that watches its file does this by itself; this is for one that does not, or that stopped watching " +
    'after a mistake (`on_failure = "stop"`): it then watches again. A SIGHUP to the daemon does the same. A file ' +
    "with mistakes changes nothing. --dry-run only says what a reload would change; without a daemon, what one " +
    "would start.",
  examples: [
    { command: "mountaineer reload", does: "apply what the file says now" },
    { command: "mountaineer reload --dry-run", does: "see what would start, change and stay" },
  ],
  exits: {
    1: "the file could not be applied; what ran before runs on",
    3: "the file has mistakes; every one is listed, and what ran before runs on",
    8: "no daemon runs (except with --dry-run)",
  },
  addOptions(command) {
    command.option("--dry-run", "only say what would change");
    addJsonOption(command);
  },
  async run(context, options) {
    const json = readFlag(options, "json");
    return readFlag(options, "dryRun") ? dryRun(context, json) : reload(context, json);
  },
};

const RELOADING: DaemonPurpose = {
  intent: "change",
  so: "so there is nothing to reload",
  hint: "mountaineer up starts one, with what the file says then",
};

async function reload(context: CommandContext, json: boolean): Promise<number> {
  const { askDaemon } = await import("../sessions/control-session.ts");
  const { NOTHING_STAYS } = await import("../views/reload-view.ts");
  const { tellReload } = await import("../edits/edit-outcome.ts");
  const report = await askDaemon(context, RELOADING, "reload", {});
  return tellReload(context, report, { json, staying: NOTHING_STAYS });
}

async function dryRun(context: CommandContext, json: boolean): Promise<number> {
  const { requireNamedFile, viewConfig } = await import("../sessions/config-session.ts");
  const { NOTHING_STAYS } = await import("../views/reload-view.ts");
  const { tellReload } = await import("../edits/edit-outcome.ts");
  return viewConfig(context, async (view) => {
    if (view.daemon === null) {
      await requireNamedFile(context, view);
      const { firstStart } = await import("../init/first-start.ts");
      return tellReload(context, await firstStart(view), { json, staying: NOTHING_STAYS });
    }
    const report = await view.daemon.ask("reload", { dry_run: true }, context.signal);
    const { shares, backends = [] } = await view.daemon.ask("status", null, context.signal);
    const staying = {
      shares: untouched(shares, report.shares),
      backends: untouched(backends, report.backends),
    };
    return tellReload(context, report, { json, staying });
  });
}

function untouched(
  running: readonly { readonly name: string }[],
  { removed, changed }: NameChanges,
): string[] {
  return running.map(({ name }) => name).filter((name) => !removed.includes(name) && !changed.includes(name));
}
