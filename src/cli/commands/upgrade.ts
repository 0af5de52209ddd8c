// The command `mountaineer upgrade`.
import { resolve } from "node:path";
import { harmless } from "../../runtime/text/plain-text.ts";
import { command } from "../input/command.ts";
import { JSON_OPTION, showResult } from "../input/options.ts";

export const upgradeCommand = command({
  name: "upgrade",
  summary: "put a newer version in this one's place, without an outage",
  description:
    "Takes the single file of a release, with its signature beside it (FILE.sig). Both versions lie side by side; the daemon " +
    "hands over to the new one as `mountaineer restart` does, and no session ends. Nothing is fetched. What dpkg, rpm, " +
    "Homebrew or npm installed is theirs to upgrade: the command says how.",
  examples: {
    "mountaineer upgrade ./mountaineer-0.2.0-linux-x64.run": "from now on this version",
    "mountaineer upgrade --older ./mountaineer-0.1.0-linux-x64.run": "back to the one before",
  },
  exits: { 1: "it was refused, or the daemon did not hand over; the version that ran goes on" },
  takes: {
    "<file>": "the release's single file",
    "--older": "also a version from before this one",
    ...JSON_OPTION,
  },
  async run(context, { file, older }) {
    const { upgrade } = await import("../upgrade/upgrade.ts");
    const { findDaemon } = await import("../sessions/control-session.ts");
    const { handOver } = await import("./restart.ts");
    let served = false;
    const done = await upgrade(context, {
      file: resolve(file),
      older,
      async handOver() {
        if ((await findDaemon(context)) === null) return;
        await handOver(context);
        served = true;
      },
    });
    showResult(
      context,
      { ...done, served },
      () =>
        `version ${harmless(done.to)} is current, before it ${harmless(done.from)}${served ? "; the daemon has handed over to it" : ""}\n`,
    );
    return 0;
  },
});
