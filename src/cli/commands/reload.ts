// The command `mountaineer reload`.

import type { NameChanges } from "../../api/contract/config.ts";
import { type CommandContext, command } from "../input/command.ts";
import type { DaemonPurpose } from "../sessions/control-session.ts";
import { callDaemon } from "../sessions/control-session.ts";

export const reloadCommand = command("reload", {
  takesUrl: true,
  summary: "make the daemon read its configuration again now",
  description:
    'For a daemon that does not watch its file, or stopped watching (`on_failure = "stop"`). A SIGHUP does the same.',
  examples: {
    "mountaineer reload": "apply what the file says now",
    "mountaineer reload --dry-run": "see what would start, change and stay",
  },
  exits: {
    1: "the file could not be applied; the previous configuration stays in use",
    3: "the file has errors; the previous configuration stays in use",
    8: "no daemon runs (except with --dry-run)",
  },
  takes: {
    "--dry-run": "only show what would change",
  },
  async run(context, { dryRun: isDry }) {
    return isDry ? dryRun(context) : reload(context);
  },
});

const RELOADING: DaemonPurpose = {
  intent: "change",
  so: "so there is nothing to reload",
  hint:
    "mountaineer up starts one; if this edit drops sign-in, the daemon starts with the content of before, " +
    "and mountaineer reload then accepts the edit",
};

async function reload(context: CommandContext): Promise<number> {
  const { NOTHING_STAYS } = await import("../views/reload-view.ts");
  const { showReload } = await import("../edits/edit-outcome.ts");
  const report = await callDaemon(context, RELOADING, "reload", {});
  return showReload(context, report, NOTHING_STAYS);
}

async function dryRun(context: CommandContext): Promise<number> {
  const { requireNamedFile, viewConfig } = await import("../sessions/config-session.ts");
  const { NOTHING_STAYS } = await import("../views/reload-view.ts");
  const { showReload } = await import("../edits/edit-outcome.ts");
  return viewConfig(context, async (view) => {
    if (view.daemon === null) {
      await requireNamedFile(context, view);
      const { firstStart } = await import("../init/first-start.ts");
      return showReload(context, await firstStart(view), NOTHING_STAYS);
    }
    const report = await view.daemon.call("reload", { dry_run: true }, context.signal);
    const { shares, backends = [] } = await view.daemon.call("status", null, context.signal);
    const staying = {
      shares: untouched(shares, report.shares),
      backends: untouched(backends, report.backends),
    };
    return showReload(context, report, staying);
  });
}

function untouched(
  running: readonly { readonly name: string }[],
  { removed, changed }: NameChanges,
): string[] {
  return running.map(({ name }) => name).filter((name) => !removed.includes(name) && !changed.includes(name));
}
