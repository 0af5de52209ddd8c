// The command `mountaineer completions`.
import { command } from "../input/command.ts";

// The shells' completion scripts. They contain no names; they run `mountaineer __complete` on each press of Tab.

const SHELLS = ["bash", "zsh", "fish"] as const;
type Shell = (typeof SHELLS)[number];

const BASH = `# Completion of mountaineer for bash. Written by: mountaineer completions bash
_mountaineer() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    if [[ $line == ":files" ]]; then
      compopt -o default 2>/dev/null
      COMPREPLY=()
      return
    fi
    COMPREPLY+=("$line")
  done < <("\${COMP_WORDS[0]}" __complete bash "\${COMP_WORDS[COMP_CWORD]}" "\${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
}
complete -F _mountaineer mountaineer
`;

const ZSH = `#compdef mountaineer
# Completion of mountaineer for zsh. Written by: mountaineer completions zsh
_mountaineer() {
  # Without a quote that is still open.
  local line typed="\${IPREFIX}\${(Q)PREFIX}"
  local -a values shown
  for line in "\${(@f)$("\${words[1]}" __complete zsh "\${(@Q)words[2,CURRENT - 1]}" "\${typed}" 2>/dev/null)}"; do
    [[ -z $line ]] && continue
    if [[ $line == ":files" ]]; then
      _files
      return
    fi
    values+=("\${line%%$'\\t'*}")
    if [[ \${line#*$'\\t'} == "" ]]; then
      shown+=("\${line%%$'\\t'*}")
    else
      shown+=("\${line%%$'\\t'*}  -- \${line#*$'\\t'}")
    fi
  done
  (( \${#values} )) || return
  compadd -l -d shown -a values
}
if [[ \${funcstack[1]} == "_mountaineer" ]]; then
  _mountaineer "$@"
else
  compdef _mountaineer mountaineer
fi
`;

const FISH = `# Completion of mountaineer for fish. Written by: mountaineer completions fish
function __mountaineer_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct | string unescape)
    set -l program $words[1]
    set -e words[1]
    for line in ($program __complete fish $words "$current" 2>/dev/null)
        if test "$line" = ":files"
            __fish_complete_path (commandline -ct)
        else
            printf '%s\\n' $line
        end
    end
end
complete -c mountaineer -f -a '(__mountaineer_complete)'
`;

/** Packages install them. */
export const COMPLETION_SCRIPTS: Readonly<Record<Shell, string>> = { bash: BASH, zsh: ZSH, fish: FISH };

export const completionsCommand = command("completions", {
  summary: "print a shell's completion script for commands, options and names",
  description: "Looks up the names of shares and servers at each Tab, so the script stays valid.",
  examples: {
    "mountaineer completions bash > ~/.local/share/bash-completion/completions/mountaineer":
      "for bash, with the package bash-completion",
    "mountaineer completions zsh > ~/.zfunc/_mountaineer": "for zsh, into a folder of your fpath",
    "mountaineer completions fish > ~/.config/fish/completions/mountaineer.fish": "for fish",
  },
  isText: true,
  takes: {
    "<shell>": { about: "the shell", choices: SHELLS },
  },
  async run(context, { shell }) {
    context.print(COMPLETION_SCRIPTS[shell]);
  },
});
