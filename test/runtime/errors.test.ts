// The error type and its table, which scripts rely on.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { ERROR_CODES, errorText, MountaineerError, systemErrorCode } from "../../src/runtime/errors.ts";

describe("errors", () => {
  it("carry code, message, hint, cause and whether trying again may help", () => {
    const cause = new Error("why");
    const error = new MountaineerError("lock_held", "held", { hint: "wait", cause, retry: "later" });
    assert.ok(error instanceof Error);
    assert.deepEqual(
      [error.name, error.code, error.message, error.hint, error.cause, error.retry],
      ["MountaineerError", "lock_held", "held", "wait", cause, "later"],
    );
  });

  it("are final and without hint or cause unless told", () => {
    const error = new MountaineerError("internal", "oops");
    assert.deepEqual([error.hint, error.retry, "cause" in error], [null, "never", false]);
  });

  it("have exit codes that do not change", () => {
    const exits = Object.fromEntries(Object.entries(ERROR_CODES).map(([code, { exit }]) => [code, exit]));
    // What scripts rely on: a code may be added, and none of these may change or go.
    const pinned = {
      usage: 2,
      config_invalid: 3,
      config_unreadable: 3,
      config_ambiguous: 3,
      config_key_unknown: 2,
      config_changed: 9,
      config_uneditable: 3,
      config_unwritable: 6,
      history_unknown: 2,
      already_running: 4,
      handover_failed: 1,
      lock_held: 4,
      state_newer: 5,
      home_unwritable: 6,
      open_to_others: 6,
      share_unknown: 2,
      share_busy: 7,
      mount_failed: 1,
      unmount_failed: 1,
      route_unreachable: 1,
      path_taken: 1,
      driver_unavailable: 1,
      program_unavailable: 1,
      registry_failed: 1,
      rclone_refused: 1,
      client_unreadable: 3,
      backend_unknown: 2,
      entry_unknown: 2,
      group_unknown: 2,
      tool_unknown: 2,
      tool_failed: 1,
      fleet_server_failed: 1,
      fleet_unreachable: 1,
      join_refused: 1,
      gateway_off: 1,
      not_signed_in: 1,
      owner_only: 1,
      commands_refused: 1,
      fleet_off: 1,
      listen_failed: 1,
      permission_denied: 1,
      alias_unknown: 2,
      path_unknown: 1,
      share_unavailable: 1,
      secret_unknown: 2,
      secret_unavailable: 1,
      sign_in_failed: 1,
      timed_out: 1,
      aborted: 130,
      daemon_unreachable: 8,
      protocol: 1,
      internal: 70,
    };
    assert.deepEqual(exits, pinned);
    for (const [code, exit] of Object.entries(exits)) assert.ok(exit > 0 && exit < 256, code);
  });

  it("know a system error by its code, and any thrown value by its text", async () => {
    const missing = await readFile("/no/such/file").catch((error: unknown) => error);
    assert.equal(systemErrorCode(missing), "ENOENT");
    for (const other of [
      new Error("x"),
      Object.assign(new Error("x"), { code: 5 }),
      { code: "ENOENT" },
      null,
      "x",
    ]) {
      assert.equal(systemErrorCode(other), null);
    }
    assert.deepEqual(
      [errorText(new Error("x")), errorText("y"), errorText(undefined)],
      ["x", "y", "undefined"],
    );
  });
});
