// The command `mountaineer admin`.
import { command } from "../input/command.ts";
import { JSON_OPTION, showJson } from "../input/options.ts";

export const adminCommand = command({
  name: "admin",
  summary: "let one tab of the page change what runs, for 15 minutes",
  description:
    "Type the code that the page shows you. Then that tab, and no other one, may change which programs run and where " +
    "credentials go, until 15 minutes have passed, it is reloaded or signed out, or the daemon restarts. Type a code only " +
    "if you see it in a page that you opened yourself.",
  examples: { "mountaineer admin K7QM-2RWX": "for the page that shows this code" },
  exits: { 8: "no daemon runs" },
  takes: {
    "<code>": "the code in the page",
    ...JSON_OPTION,
  },
  async run(context, { code }) {
    const { askDaemon } = await import("../sessions/control-session.ts");
    const purpose = { intent: "change", so: "so there is no page" } as const;
    const report = await askDaemon(context, purpose, "grantOwner", { code });
    if (context.json) showJson(context, report);
    else context.print("the page may change what runs for 15 minutes\n");
    return 0;
  },
});
