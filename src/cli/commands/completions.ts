// The command `mountaineer completions`.
import { completionScript, SHELLS } from "../completion/completion-scripts.ts";
import { command } from "../input/command.ts";

export const completionsCommand = command({
  name: "completions",
  summary: "print the script that makes a shell complete commands, options and names",
  description:
    "Names of shares, their folders, aliases, backends, tools, secrets and keys are looked up on each press of Tab; the script stays " +
    "good when the configuration, or Mountaineer, changes.",
  examples: {
    "mountaineer completions bash > ~/.local/share/bash-completion/completions/mountaineer":
      "for bash, with the package bash-completion",
    "mountaineer completions zsh > ~/.zfunc/_mountaineer": "for zsh, into a folder of your fpath",
    "mountaineer completions fish > ~/.config/fish/completions/mountaineer.fish": "for fish",
  },
  exits: {},
  takes: {
    "<shell>": { about: "whose", choices: SHELLS },
  },
  async run(context, { shell }) {
    context.print(completionScript(shell));
    return 0;
  },
});
