// The keys of `[trust]`.
import * as z from "zod";
import { choiceDoc, document } from "./schema-keys.ts";

/** Which changes of the file wait until a person approves them. */
export const APPROVE_CHOICES = ["commands", "all", "none"] as const;

export const trustSchema = z.strictObject({
  approve: document(
    z.enum(APPROVE_CHOICES).optional(),
    choiceDoc({
      choices: APPROVE_CHOICES,
      absent:
        "`commands` where an argument or the `cwd` of a backend lies in or above Mountaineer's home, else `none`",
      meaning:
        "Which changes of this file wait for `mountaineer approve`, when something else than Mountaineer makes them: `commands` those that decide which programs run, and with what; `all` also where credentials go, and who may do what; `none` nothing. Only `mountaineer approve` loosens it.",
      example: '"commands"',
    }),
  ),
});
