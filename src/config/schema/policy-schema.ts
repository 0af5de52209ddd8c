// The keys of `[authorization]`: policies about users and tools, and questions before a call.
import { parseLabel, parseResource } from "../values/backend-values.ts";
import { choiceKey, optional, required } from "./schema-keys.ts";
import { listOf, open, orAbsent, table } from "./tables.ts";
import { choice, globs, label, list, text } from "./value-types.ts";

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
    "Patterns over an argument's value; `options.path` is `path` within `options`. A pattern with a slash is for paths: `..`, doubled slashes and escapes are resolved first.",
  example: '["/srv/*"]',
});

export const policyKeys = {
  effect: required("access", choice(EFFECTS), {
    meaning: "The effect; `ask` asks the person at the client.",
    example: '"allow"',
  }),
  roles: optional("access", globs, {
    absent: "everybody",
    meaning: "Patterns over roles, of which the user has one. Without a token: `anonymous`.",
    example: '["developer"]',
  }),
  users: optional("access", list(label), {
    absent: "everybody",
    meaning:
      "Users of this file, and programs that act for them; `sub:` and the `sub` for people of an issuer.",
    example: '["ann"]',
  }),
  backends: optional("access", globs, {
    absent: "whatever",
    meaning: "Patterns over names of servers. The gateway's own tools belong to none.",
    example: '["github"]',
  }),
  resources: optional("access", list(text("plain", parseResource), { type: "list of patterns" }), {
    absent: "whatever",
    meaning:
      "Patterns over `tool:NAME`, `prompt:NAME`, `resource:ADDRESS` or the bare name; `tool:SERVER/NAME` is one server's.",
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
    meaning: "Annotations of the tool, all required. `destructive` of `[authorization]` does not apply then.",
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
      "For allowed tools that may destroy something; `refuse` unlists them. Also for `mountaineer mcp`.",
  }),
  unannotated: choiceKey("access", ["destructive", "harmless"], "destructive", {
    meaning: "A tool whose server does not say whether it is destructive.",
  }),
  ask: optional("access", choice(["client", "anywhere"]), {
    absent: "`anywhere` for `mountaineer mcp`, else `client`",
    meaning: "`anywhere`: the owner answers for clients that cannot ask, and sees the arguments.",
    example: '"anywhere"',
  }),
  policies: listOf("policies", table("One block per policy; the first match decides.", policyKeys)),
};
