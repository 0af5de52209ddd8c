// The keys that decide which tools a client is shown: `[optimizer]`, `[groups.NAME]`, `[[profiles]]`.
import { parseBackendName } from "../values/backend-names.ts";
import { defaulted, optional, toggleKey } from "./schema-keys.ts";
import { globs, list, text, toggle } from "./value-types.ts";

export const optimizerKeys = {
  enabled: toggleKey("free", false, "List `find_tool` and `call_tool` in place of all tools."),
  keep_tools: defaulted("free", globs, [], {
    absent: "none",
    meaning: "Patterns over names of tools that stay in the list.",
    example: '["read_file", "github_*"]',
  }),
};

export const groupKeys = {
  tools: optional("access", globs, {
    absent: "those of `backends`; one of both is required",
    meaning: "Patterns over its tools. A name without wildcards is one server's, as in policies.",
    example: '["github_*"]',
  }),
  backends: optional("access", list(text("plain", parseBackendName)), {
    type: "list of servers",
    absent: "the tools of all servers, and no resources or prompts",
    meaning: "The servers whose tools, resources and prompts are in it.",
    example: '["files"]',
  }),
};

export const profileKeys = {
  users: optional("access", globs, {
    absent: "everybody",
    meaning: "Patterns over the token's user or `sub`, `anonymous`, or `owner` (`mountaineer mcp`).",
    example: '["ci-*"]',
  }),
  clients: optional("access", globs, {
    absent: "every client",
    meaning: "Patterns over the client's own name, which it can choose freely.",
    example: '["claude-*"]',
  }),
  groups: optional("access", list(text("plain", parseBackendName)), {
    type: "list of groups",
    absent: "everything",
    meaning: "The only groups whose contents these clients get.",
    example: '["files"]',
  }),
  optimizer: optional("access", toggle, {
    absent: "as `[optimizer].enabled`",
    meaning: "Whether these clients get `find_tool` and `call_tool`.",
    example: "true",
  }),
  scripts: optional("access", toggle, {
    absent: "as `[scripts].enabled`",
    meaning: "Whether these clients get `run_script`.",
    example: "true",
  }),
};
