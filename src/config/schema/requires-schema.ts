// The keys of a backend that say which shares it needs, and what happens while they are not there.
import { parseRequirement, REQUIREMENT_EXPECTED } from "../values/requirement.ts";
import { choiceKey, defaulted, numberKey } from "./schema-keys.ts";
import { list, text } from "./value-types.ts";

/** What may become of a backend whose data is gone. */
const UNAVAILABLE_CHOICES = ["hide", "stop", "error"] as const;

export const requiresKeys = {
  requires: defaulted("free", list(text("plain", parseRequirement)), [], {
    type: "list of shares",
    expected: `a list of ${REQUIREMENT_EXPECTED}`,
    absent: "none",
    meaning:
      "Shares that the server works on, by name, or with a folder in them. It is not started before they are there.",
    example: '["CORE:/dev/projects"]',
  }),
  unavailable_after_secs: numberKey("free", {
    min: 0,
    max: 3600,
    absent: 5,
    unit: "seconds",
    meaning:
      "How long a required share may be away before `when_unavailable` applies; calls that come meanwhile wait.",
  }),
  when_unavailable: choiceKey("free", UNAVAILABLE_CHOICES, "hide", {
    meaning:
      "While a required share is away: `hide` takes what the server offers out of the lists, `stop` ends the server, too, `error` leaves the lists as they are. Calls get an error that names the share.",
  }),
};
