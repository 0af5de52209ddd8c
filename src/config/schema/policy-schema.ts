// The keys of `[authorization]`: who may use what, and what is asked about first.
import * as z from "zod";
import { parseGlob, parseLabel } from "../backend-values.ts";
import { choiceDoc, choiceKey, document, listDoc, readText } from "./schema-keys.ts";

const globs = z.array(readText(parseGlob));

const EFFECTS = ["allow", "deny", "ask"] as const;

/** What a server says of a tool; each also negated. */
const TOOL_HINTS = [
  "read_only",
  "not_read_only",
  "destructive",
  "not_destructive",
  "idempotent",
  "not_idempotent",
  "open_world",
  "not_open_world",
] as const;

/** Patterns over the value of one argument. */
export const argumentSchema = document(
  globs,
  listDoc({
    type: "list of patterns",
    absent: "whatever",
    meaning:
      "Patterns over the value of an argument, by the name of the argument; `options.path` is `path` within `options`. It fits calls whose value one of them matches, and none without that argument. A pattern with a slash is over paths: a value with `..`, doubled slashes or escapes in it gets around none.",
    example: '["/srv/*"]',
  }),
);

export const policySchema = z.strictObject({
  effect: document(
    z.enum(EFFECTS),
    choiceDoc({
      choices: EFFECTS,
      meaning:
        "What the policy does where it fits; `ask` asks the person at the client that calls, and refuses where that client cannot ask.",
      example: '"allow"',
    }),
  ),
  roles: document(
    globs.optional(),
    listDoc({
      type: "list of patterns",
      absent: "whoever",
      meaning: "Patterns over roles; it fits who has one of them. Who comes without a token has `anonymous`.",
      example: '["developer"]',
    }),
  ),
  resources: document(
    globs.optional(),
    listDoc({
      type: "list of patterns",
      absent: "whatever",
      meaning: "Patterns over `tool:NAME`, `prompt:NAME`, `resource:ADDRESS`, or over the bare name.",
      example: '["tool:read_*"]',
    }),
  ),
  methods: document(
    globs.optional(),
    listDoc({
      type: "list of patterns",
      absent: "any",
      meaning: "Patterns over methods of the protocol.",
      example: '["tools/*"]',
    }),
  ),
  annotations: document(
    z.array(z.enum(TOOL_HINTS)).optional(),
    listDoc({
      type: `list of ${TOOL_HINTS.map((hint) => `\`${hint}\``).join(", ")}`,
      absent: "whatever",
      meaning:
        "What servers say of their tools, all of which must hold; it fits tools alone. A policy with this key decides about destructive tools by itself: `destructive` of `[authorization]` does not count for it.",
      example: '["read_only"]',
    }),
  ),
  arguments: z.record(readText(parseLabel), argumentSchema).optional(),
});

export const authorizationSchema = z.strictObject({
  default_effect: choiceKey(["deny", "allow"], "deny", { meaning: "What holds where no policy fits." }),
  destructive: choiceKey(["allow", "ask", "refuse"], "allow", {
    meaning:
      "What holds for a tool that may destroy something, where it would be allowed: `ask` asks the person at the client that calls, `refuse` does not publish it. It holds for `mountaineer mcp`, too.",
  }),
  unannotated: choiceKey(["destructive", "harmless"], "destructive", {
    meaning:
      "What a tool counts as whose server does not say whether it destroys anything. The protocol says `destructive`.",
  }),
  policies: z.array(policySchema).default([]),
});
