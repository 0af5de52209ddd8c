// The command `mountaineer why`.
import type { StatusReport } from "../../api/contract/contract.ts";
import type { Why } from "../../api/labels/why.ts";
import { nameUnknown } from "../../api/operations/name-selection.ts";
import { command } from "../input/command.ts";
import { showResult } from "../input/options.ts";
import { show } from "../sessions/control-session.ts";

export const whyCommand = command("why", {
  takesUrl: true,
  summary: "say why a share or a server is as it is, and what happens next",
  description:
    "Shows the rule that applies now, and when each other rule is due. Changes nothing. Works without a daemon.",
  examples: {
    "mountaineer why CORE": "why does it stay on the fallback?",
    "mountaineer why files --json": "for a script",
  },
  exits: { 2: "no share and no server has that name" },
  takes: { "<name>": { about: "a share or a server", completes: "shares-and-backends" } },
  async run(context, { name }) {
    const report = await show(context, "status", null);
    const found = await whyOf(report, name);
    const { renderWhy } = await import("../../api/views/why-view.ts");
    const isDecided = report.global.pid !== null;
    showResult(context, found, () =>
      renderWhy(found, isDecided, { ...context.stdoutStyle, now: Date.now() }),
    );
  },
});

/** Throws `share_unknown` if neither a share nor a server has the name. Both may have it. */
async function whyOf({ shares, backends = [] }: StatusReport, name: string): Promise<readonly Why[]> {
  const { backendWhy, shareWhy } = await import("../../api/labels/why.ts");
  const found = [
    ...shares.filter((share) => share.name === name).map(shareWhy),
    ...backends.filter((backend) => backend.name === name).map(backendWhy),
  ];
  if (found.length > 0) return found;
  const names = [...shares, ...backends].map((one) => one.name);
  const none = "no share and no server is configured yet";
  throw nameUnknown(name, names, {
    code: "share_unknown",
    noun: "share or server",
    known: "configured",
    none,
  });
}
