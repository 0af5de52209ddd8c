// The keys of `[trust]`: which changes of the file and of servers take effect without a question.
import { choiceKey, optional } from "./schema-keys.ts";
import { choice, list, path } from "./value-types.ts";

/** Which changes of the file wait until a person approves them. */
const APPROVE_CHOICES = ["commands", "all", "none"] as const;
const PIN_CHOICES = ["tell", "block", "off"] as const;

export const trustKeys = {
  approve: optional("approval", choice(APPROVE_CHOICES), {
    absent: "`commands` where a server can reach Mountaineer's home; else `none`",
    meaning:
      "Which changes by other programs wait for `mountaineer approve`. `commands`: those of what runs; `all`: also of rights, and of where credentials go.",
    example: '"commands"',
  }),
  client_folders: optional("runs", list(path, { type: "list of paths" }), {
    absent: "none",
    meaning: 'Where servers with `cwd = "client"` may be started.',
    example: '["~/projects"]',
  }),
  pin: choiceKey("guards", PIN_CHOICES, "tell", {
    meaning:
      "`tell` reports changed entries of a server, `block` also withholds changed and new ones, `off` does not compare.",
  }),
};

export const pinKey = optional("guards", choice(PIN_CHOICES), {
  absent: "`[trust].pin`",
  meaning: "What to do when this server's entries change.",
  example: '"block"',
});
