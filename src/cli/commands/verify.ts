// The command `mountaineer verify`.
import { command } from "../input/command.ts";
import { chosenShares, JSON_OPTION, SHARE_OPTIONS, showResult } from "../input/options.ts";

export const verifyCommand = command({
  name: "verify",
  summary: "look at everything afresh and say what is wrong",
  description:
    "Probes every host and reads every mount now, rather than telling what was last seen. Changes nothing.",
  examples: {
    "mountaineer verify": "check all shares",
    "mountaineer verify --share CORE --json": "check one, for a script",
  },
  exits: { 1: "something is wrong" },
  takes: {
    ...SHARE_OPTIONS,
    ...JSON_OPTION,
  },
  async run(context, { share }) {
    const { askEngine } = await import("../sessions/control-session.ts");
    const { FAILED_EXIT, renderVerify } = await import("../views/results-view.ts");
    const shares = chosenShares(share);
    const report = await askEngine(context, { intent: "look", command: "verify" }, "verify", { shares });
    showResult(context, report, () => renderVerify(report, context.stdoutStyle));
    return report.ok ? 0 : FAILED_EXIT;
  },
});
