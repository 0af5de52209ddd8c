// The command `mountaineer approve`.
import { command } from "../input/command.ts";
import { JSON_OPTION } from "../input/options.ts";

export const approveCommand = command({
  name: "approve",
  summary: "see and approve changes of the configuration that wait for you",
  description:
    "A change that something else than Mountaineer made in the file waits here if it decides what runs ([trust] approve " +
    "says which else). What was approved before serves meanwhile. Shows each change beside what serves, asks, and " +
    "applies what you approve at once; without a daemon the next one finds it approved. --mode sets which changes wait " +
    "from now on, and is the only way to loosen that.",
  examples: {
    "mountaineer approve": "look at each change that waits, and say yes or no",
    "mountaineer approve files": "only what waits of the backend files",
    "mountaineer approve --list": "see what waits, and change nothing",
    "mountaineer approve --mode none": "let every change of the file apply at once",
  },
  exits: { 1: "you said no, or it could not be applied", 2: "nothing of that name waits" },
  takes: {
    "[name...]": "an entry as --list shows it: files, backends.files, incoming_auth",
    "--all": "everything that waits, with one question",
    "--list": "only show what waits",
    "--yes": "do not ask",
    "--mode <mode>": {
      about: "which changes wait from now on; `default`: as the backends reach the home",
      choices: ["commands", "all", "none", "default"],
      conflicts: ["all", "list"],
    },
    ...JSON_OPTION,
  },
  async run(context, { name: names, mode, list, all, yes }) {
    const { approveEntries, listEntries, setApproveMode } = await import("../edits/approve-entries.ts");
    if (mode !== null) return setApproveMode(context, mode, !yes);
    return list ? listEntries(context, names) : approveEntries(context, names, { asks: !yes, all });
  },
});
