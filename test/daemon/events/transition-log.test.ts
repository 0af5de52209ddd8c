import { test } from "node:test";
import { logTransition } from "../../../src/daemon/events/transition-log.ts";
import { assertEach } from "../../support/assert-each.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";

test("C3 a backend that failed is a warning, one that is being started is none", () => {
  const logger = createRecordingLogger();
  const phase = { name: "backend.phase", backend: "files", from: "Pending", took_ms: 3 } as const;
  const reason = "not set in the environment: TOKEN";
  logTransition(logger, { ...phase, to: "Failed", reason });
  logTransition(logger, { ...phase, to: "Initializing", reason: "it is being started" });
  logTransition(logger, { name: "config.applied", source: "file", generation: 2, sha256: "", summary: "" });
  assertEach(logger.lines, ({ level, message, fields }) => [level, message, fields["reason"]], [
    ["warn", "backend.phase", reason],
    ["info", "backend.phase", "it is being started"],
    ["info", "config.applied", undefined],
  ]);
});
