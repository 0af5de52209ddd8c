// The keys of `[trust]`: which changes of the file and of servers take effect without a question.
import { choiceKey, optional } from "./schema-keys.ts";
import { choice } from "./value-types.ts";

/** Which changes of the file wait until a person approves them. */
const APPROVE_CHOICES = ["commands", "all", "none"] as const;
const PIN_CHOICES = ["tell", "block", "off"] as const;

export const trustKeys = {
  approve: optional("approval", choice(APPROVE_CHOICES), {
    absent:
      "`commands` where an argument or the `cwd` of a backend leads to Mountaineer's home, or a fleet's configuration lies under this file; else `none`",
    meaning:
      "Which changes of this file wait for `mountaineer approve` when something else than Mountaineer made them: `commands` those that decide which programs run, and with what; `all` also where credentials go, and who may do what; `none` nothing. Only `mountaineer approve` loosens it.",
    example: '"commands"',
  }),
  pin: choiceKey("guards", PIN_CHOICES, "tell", {
    meaning:
      "What happens when a tool, a prompt, a resource or the instructions of a server differ from what they were: `tell` says so until you approve it, `block` also withholds it until then, and what is new, too; `off` remembers nothing.",
  }),
};

/** A backend's own. */
export const pinKey = optional("guards", choice(PIN_CHOICES), {
  absent: "`[trust].pin`",
  meaning: "What happens when something that this server shows to models differs from what it was.",
  example: '"block"',
});
