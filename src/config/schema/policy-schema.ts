// The keys of `[authorization]`: policies about users and tools, and questions before a call.
import { parseLabel } from "../values/backend-values.ts";
import { choiceKey, optional, required } from "./schema-keys.ts";
import { listOf, open, orAbsent, table } from "./tables.ts";
import { choice, globs, list } from "./value-types.ts";

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

const argumentKey = required("access", globs, {
  absent: "whatever",
  meaning:
    "Patterns over the value of an argument, by the name of the argument; `options.path` is `path` within `options`. It fits calls whose value one of them matches, and none without that argument. A pattern with a slash is over paths: a value with `..`, doubled slashes or escapes in it gets around none.",
  example: '["/srv/*"]',
});

export const policyKeys = {
  effect: required("access", choice(EFFECTS), {
    meaning:
      "What the policy does where it fits; `ask` asks the person at the client that calls, and refuses where that client cannot ask.",
    example: '"allow"',
  }),
  roles: optional("access", globs, {
    absent: "everybody",
    meaning: "Patterns over roles; it fits who has one of them. Who comes without a token has `anonymous`.",
    example: '["developer"]',
  }),
  resources: optional("access", globs, {
    absent: "whatever",
    meaning: "Patterns over `tool:NAME`, `prompt:NAME`, `resource:ADDRESS`, or over the bare name.",
    example: '["tool:read_*"]',
  }),
  methods: optional("access", globs, {
    absent: "any",
    meaning: "Patterns over methods of the protocol.",
    example: '["tools/*"]',
  }),
  annotations: optional("access", list(choice(TOOL_HINTS)), {
    type: `list of ${TOOL_HINTS.map((hint) => `\`${hint}\``).join(", ")}`,
    absent: "whatever",
    meaning:
      "What servers say of their tools, all of which must hold; it fits tools alone. A policy with this key decides about destructive tools by itself: `destructive` of `[authorization]` does not count for it.",
    example: '["read_only"]',
  }),
  arguments: orAbsent(
    open(
      "Which calls the policy fits, by the values of their arguments; all that are named must fit.",
      parseLabel,
      argumentKey,
    ),
  ),
};

export const authorizationKeys = {
  default_effect: choiceKey("access", ["deny", "allow"], "deny", {
    meaning: "What holds where no policy fits.",
  }),
  destructive: choiceKey("access", ["allow", "ask", "refuse"], "allow", {
    meaning:
      "What holds for a tool that may destroy something, where it would be allowed: `ask` asks the person at the client that calls, `refuse` does not publish it. It holds for `mountaineer mcp`, too.",
  }),
  unannotated: choiceKey("access", ["destructive", "harmless"], "destructive", {
    meaning:
      "What a tool counts as whose server does not say whether it destroys anything. The protocol says `destructive`.",
  }),
  policies: listOf(
    "policies",
    table(
      "One block per policy; the first that fits decides, and lists show only what one may use.",
      policyKeys,
    ),
  ),
};
