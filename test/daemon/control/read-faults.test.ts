import assert from "node:assert/strict";
import test from "node:test";
import { createReadFaults } from "../../../src/daemon/control/read-faults.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";

test("B11 a part of the status that cannot be read is a condition with its stack in the log, until it can be read again", () => {
  const logger = createRecordingLogger();
  const faults = createReadFaults(logger);
  const fail = (): string[] => {
    throw new Error("ENOENT: package.json");
  };
  assert.deepEqual(faults.read("the gateway", fail, []), []);
  assert.deepEqual(faults.read("the gateway", fail, []), []);
  const [condition, ...others] = faults.conditions();
  assert.deepEqual(others, []);
  assert.equal(condition?.code, "internal_error");
  assert.match(condition?.title ?? "", /the gateway cannot be read: ENOENT: package\.json/);
  assert.equal(logger.lines.length, 1, "a failure that repeats is logged once");
  assert.match(String(logger.lines[0]?.fields["stack"]), /read-faults\.test\.ts/);
  assert.deepEqual(
    faults.read("the gateway", () => ["fine"], []),
    ["fine"],
  );
  assert.deepEqual(faults.conditions(), []);
});
