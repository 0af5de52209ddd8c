// The keys that decide which tools a client is shown: `[optimizer]`, `[groups.NAME]`, `[[profiles]]`.
import * as z from "zod";
import { parseBackendName } from "../backend-names.ts";
import { parseGlob } from "../backend-values.ts";
import { document, listDoc, readText, toggleKey } from "./schema-keys.ts";

const globs = z.array(readText(parseGlob));

export const optimizerSchema = z.strictObject({
  enabled: toggleKey(
    false,
    "List two tools instead of all: `find_tool` finds tools by what they do, `call_tool` calls them.",
  ),
  keep_tools: document(
    globs.default([]),
    listDoc({
      type: "list of patterns",
      absent: "none",
      meaning: "Patterns over names of tools that are listed all the same.",
      example: '["read_file", "github_*"]',
    }),
  ),
});

const groupSchema = z.strictObject({
  tools: document(
    globs.optional(),
    listDoc({
      type: "list of patterns",
      absent: "all of its backends; one of `tools` and `backends` is required",
      meaning: "Patterns over the names of its tools.",
      example: '["github_*"]',
    }),
  ),
  backends: document(
    z.array(readText(parseBackendName)).optional(),
    listDoc({
      type: "list of backends",
      absent: "the tools of all backends, and no resources or prompts",
      meaning: "Whose tools, resources, prompts and skills are in it.",
      example: '["files"]',
    }),
  ),
});

// What editors check while one types; the reading of names says more.
const groupName = readText(parseBackendName).meta({ pattern: "^[A-Za-z][A-Za-z0-9_-]{0,63}$" });

export const groupsSchema = z.record(groupName, groupSchema);
export const groupShape = groupSchema.shape;

export const profileSchema = z.strictObject({
  users: document(
    globs.optional(),
    listDoc({
      type: "list of patterns",
      absent: "whoever",
      meaning:
        "Patterns over who comes: the name of its token, the `sub` of a signed one, `anonymous`, or `owner` for `mountaineer mcp`.",
      example: '["ci-*"]',
    }),
  ),
  clients: document(
    globs.optional(),
    listDoc({
      type: "list of patterns",
      absent: "whichever",
      meaning:
        "Patterns over the name that a client gives itself. Any client can give itself any name: what somebody must not use is for `[authorization]`.",
      example: '["claude-*"]',
    }),
  ),
  groups: document(
    z.array(readText(parseBackendName)).optional(),
    listDoc({
      type: "list of groups",
      absent: "everything",
      meaning: "The groups of which such a client is served all that is in any of them, and nothing else.",
      example: '["files"]',
    }),
  ),
  optimizer: document(z.boolean().optional(), {
    type: "true or false",
    unit: null,
    absent: "as `[optimizer].enabled`",
    meaning: "Whether such a client is shown `find_tool` and `call_tool` instead of all tools.",
    expected: "true or false",
    example: "true",
    choices: null,
    isSecret: false,
  }),
});

/** All that the file says of it. */
export interface FewerToolsFile {
  readonly optimizer: z.output<typeof optimizerSchema>;
  readonly groups: z.output<typeof groupsSchema>;
  readonly profiles: readonly z.output<typeof profileSchema>[];
}
