// The keys of `[trust]`: what of servers is believed without being asked about.
import * as z from "zod";
import { choiceDoc, choiceKey, document } from "./schema-keys.ts";

const PIN_CHOICES = ["tell", "block", "off"] as const;

export const trustSchema = z.strictObject({
  pin: choiceKey(PIN_CHOICES, "tell", {
    meaning:
      "What happens when a server describes a tool otherwise than before: `tell` says so until you approve it, `block` also withholds it until then, and new tools, too; `off` remembers nothing.",
  }),
});

/** A backend's own. */
export const pinKey = document(
  z.enum(PIN_CHOICES).optional(),
  choiceDoc({
    choices: PIN_CHOICES,
    absent: "`[trust].pin`",
    meaning: "What happens when this server describes a tool otherwise than before.",
    example: '"block"',
  }),
);
