// The keys of `[authorization]`: policies about users and tools, and questions before a call.
import { parseLabel } from "../values/backend-values.ts";
import { choiceKey, optional, required } from "./schema-keys.ts";
import { listOf, open, orAbsent, table } from "./tables.ts";
import { choice, globs, label, list } from "./value-types.ts";

const EFFECTS = ["allow", "deny", "ask"] as const;

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
    "Patterns over an argument's value, by the argument's name; `options.path` is `path` within `options`. " +
    "Matches calls whose value matches one of them, and no call without that argument. A pattern with a slash " +
    "matches paths: a value with `..`, doubled slashes or escapes is resolved first.",
  example: '["/srv/*"]',
});

export const policyKeys = {
  effect: required("access", choice(EFFECTS), {
    meaning:
      "The effect if the policy matches; `ask` asks the person at the calling client, and refuses if that client " +
      "cannot ask.",
    example: '"allow"',
  }),
  roles: optional("access", globs, {
    absent: "everybody",
    meaning:
      "Patterns over roles; matches users with one of them. Users without a token have the role `anonymous`.",
    example: '["developer"]',
  }),
  users: optional("access", list(label), {
    absent: "everybody",
    meaning:
      "Names of users in `[[incoming_auth.users]]`; also matches programs that act for them. For people of an issuer, write " +
      "`sub:` and the `sub` of their tokens. Together with `roles`, both must match.",
    example: '["ann"]',
  }),
  backends: optional("access", globs, {
    absent: "whatever",
    meaning:
      "Patterns over names of servers; matches everything that belongs to one of them. Together with `resources`, both " +
      "must match. The gateway's own tools belong to no server.",
    example: '["github"]',
  }),
  resources: optional("access", globs, {
    absent: "whatever",
    meaning:
      "Patterns over `tool:NAME`, `prompt:NAME`, `resource:ADDRESS`, or over the bare name. Without wildcards it is one " +
      "server's: `tool:SERVER/NAME`, or the first server's in the file that has the name.",
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
      "Annotations of the tool, all required; matches only tools. A policy with this key decides about destructive " +
      "tools on its own: `destructive` of `[authorization]` does not apply to it.",
    example: '["read_only"]',
  }),
  arguments: orAbsent(
    open(
      "Limits the policy to calls with these argument values; all named arguments must match.",
      parseLabel,
      argumentKey,
    ),
  ),
};

export const authorizationKeys = {
  default_effect: choiceKey("access", ["deny", "allow"], "deny", {
    meaning: "The effect if no policy matches.",
  }),
  destructive: choiceKey("access", ["allow", "ask", "refuse"], "allow", {
    meaning:
      "For an allowed tool that may destroy something: `ask` asks the person at the calling client, `refuse` does " +
      "not publish it. Also applies to `mountaineer mcp`.",
  }),
  unannotated: choiceKey("access", ["destructive", "harmless"], "destructive", {
    meaning:
      "How to treat a tool whose server does not say whether it is destructive. The protocol's default is " +
      "`destructive`.",
  }),
  policies: listOf(
    "policies",
    table(
      "One block per policy; the first match decides, and lists show only what the user may use.",
      policyKeys,
    ),
  ),
};
