// The keys of a backend that say which shares it needs, and what happens while they are not there.
import * as z from "zod";
import { parseRequirement, REQUIREMENT_EXPECTED } from "../requirement.ts";
import { choiceKey, document, listDoc, numberKey, readText } from "./schema-keys.ts";

/** What may become of a backend whose data is gone. */
const UNAVAILABLE_CHOICES = ["hide", "stop", "error"] as const;

export const requiresKeys = {
  requires: document(
    z.array(readText(parseRequirement)).default([]),
    listDoc({
      type: "list of shares",
      expected: `a list of ${REQUIREMENT_EXPECTED}`,
      absent: "none",
      meaning:
        "Shares that the server works on, by name, or with a folder in them. It is not started before they are there.",
      example: '["CORE:/dev/projects"]',
    }),
  ),
  unavailable_after_secs: numberKey({
    min: 0,
    max: 3600,
    absent: 5,
    unit: "seconds",
    meaning:
      "How long a required share may be away before `when_unavailable` applies; calls that come meanwhile wait.",
  }),
  when_unavailable: choiceKey(UNAVAILABLE_CHOICES, "hide", {
    meaning:
      "While a required share is away: `hide` takes what the server offers out of the lists, `stop` ends the server, too, `error` leaves the lists as they are. Calls get an error that names the share.",
  }),
};
