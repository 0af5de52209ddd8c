// The keys that decide which tools a client is shown: `[optimizer]`, `[groups.NAME]`, `[[profiles]]`.
import { parseBackendName } from "../values/backend-names.ts";
import { defaulted, optional, toggleKey } from "./schema-keys.ts";
import { globs, list, text, toggle } from "./value-types.ts";

export const optimizerKeys = {
  enabled: toggleKey(
    "free",
    false,
    "List two tools instead of all: `find_tool` finds tools by what they do, `call_tool` calls them.",
  ),
  keep_tools: defaulted("free", globs, [], {
    absent: "none",
    meaning: "Patterns over names of tools that stay in the list.",
    example: '["read_file", "github_*"]',
  }),
};

export const groupKeys = {
  tools: optional("access", globs, {
    absent: "all of its backends; one of `tools` and `backends` is required",
    meaning:
      "Patterns over the names of its tools. Without wildcards it is one server's: `SERVER/NAME`, or the first server's " +
      "in the file that has the name.",
    example: '["github_*"]',
  }),
  backends: optional("access", list(text("plain", parseBackendName)), {
    type: "list of backends",
    absent: "the tools of all backends, and no resources or prompts",
    meaning: "The backends whose tools, resources, prompts and skills are in it.",
    example: '["files"]',
  }),
};

export const profileKeys = {
  users: optional("access", globs, {
    absent: "everybody",
    meaning:
      "Patterns over the user: the name of a token, the `sub` of a signed token, `anonymous`, or `owner` for " +
      "`mountaineer mcp`.",
    example: '["ci-*"]',
  }),
  clients: optional("access", globs, {
    absent: "every client",
    meaning:
      "Patterns over the client's own name. A client can claim any name: use `[authorization]` to restrict what " +
      "users may do.",
    example: '["claude-*"]',
  }),
  groups: optional("access", list(text("plain", parseBackendName)), {
    type: "list of groups",
    absent: "everything",
    meaning: "The groups whose contents such a client gets, and nothing else.",
    example: '["files"]',
  }),
  optimizer: optional("access", toggle, {
    absent: "as `[optimizer].enabled`",
    meaning: "Whether such a client gets `find_tool` and `call_tool` instead of all tools.",
    example: "true",
  }),
  scripts: optional("access", toggle, {
    absent: "as `[scripts].enabled`",
    meaning: "Whether such a client gets `run_script`.",
    example: "true",
  }),
};
