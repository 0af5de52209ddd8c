// Records: the audit of what clients asked, and the daemon's log, newest first, with filters and pages.
import { type ComponentChild, h } from "preact";
import { useState } from "preact/hooks";
import type { ViewProps } from "../parts/app.ts";
import { section } from "../parts/elements.ts";
import { AuditRecords } from "./audit-records.ts";
import { LogLines } from "./log-lines.ts";

export function RecordsView({ app }: ViewProps): ComponentChild {
  const [kind, setKind] = useState<"audit" | "log">("log");
  return h(
    "div",
    {},
    h(
      "div",
      { class: "row", role: "group", "aria-label": "Which records" },
      (["log", "audit"] as const).map((each) =>
        h(
          "button",
          {
            key: each,
            type: "button",
            "aria-pressed": kind === each,
            class: kind === each ? "main" : "",
            onClick: () => setKind(each),
          },
          each === "log" ? "Log" : "Audit",
        ),
      ),
    ),
    kind === "log"
      ? section("Log of the daemon", h(LogLines, { app }))
      : section("Audit of calls", h(AuditRecords, { app })),
  );
}
