// The error type and its table, which scripts rely on.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import {
  ERROR_CODES,
  errorText,
  isOwnError,
  isSystemError,
  MountaineerError,
  recoverFrom,
  systemErrorCode,
} from "../../src/runtime/errors.ts";

describe("errors", () => {
  it("contain code, message, hint, cause and whether trying again may help", () => {
    const cause = new Error("why");
    const error = new MountaineerError("lock_held", "held", { hint: "wait", cause, retry: "later" });
    assert.ok(error instanceof Error);
    assert.deepEqual(
      [error.name, error.code, error.message, error.hint, error.cause, error.retry],
      ["MountaineerError", "lock_held", "held", "wait", cause, "later"],
    );
  });

  it("are final and without hint or cause by default", () => {
    const error = new MountaineerError("internal", "oops");
    assert.deepEqual([error.hint, error.retry, "cause" in error], [null, "never", false]);
  });

  it("have exit codes that do not change", () => {
    const exits = Object.fromEntries(Object.entries(ERROR_CODES).map(([code, { exit }]) => [code, exit]));
    // Scripts rely on these codes: codes may be added, but none of these may change or disappear.
    const pinned: readonly (readonly [exit: number, codes: string])[] = [
      [1, "handover_failed mount_failed unmount_failed path_taken"],
      [1, "driver_unavailable program_unavailable registry_failed program_refused tool_failed"],
      [1, "fleet_unreachable gateway_off not_signed_in owner_only"],
      [1, "commands_refused fleet_off listen_failed permission_denied path_unknown"],
      [1, "share_unavailable secret_unavailable sign_in_failed timed_out protocol too_many_values"],
      [2, "usage config_key_unknown history_unknown share_unknown backend_unknown entry_unknown"],
      [2, "group_unknown tool_unknown alias_unknown secret_unknown"],
      [
        3,
        "config_invalid config_unreadable config_cut_short config_ambiguous config_uneditable client_unreadable backup_refused",
      ],
      [4, "already_running lock_held"],
      [5, "state_newer"],
      [6, "config_unwritable home_unwritable home_lost home_moved open_to_others"],
      [7, "share_busy"],
      [8, "daemon_unreachable"],
      [9, "config_changed"],
      [70, "internal"],
      [130, "aborted"],
    ];
    assert.deepEqual(
      exits,
      Object.fromEntries(pinned.flatMap(([exit, codes]) => codes.split(" ").map((code) => [code, exit]))),
    );
    for (const [code, exit] of Object.entries(exits)) assert.ok(exit > 0 && exit < 256, code);
  });

  it("describe a system error by its code, and any thrown value by its text", async () => {
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

  it("that are expected become a value, and all others are thrown again", async () => {
    const missing = readFile("/nonexistent/file");
    assert.equal(await missing.catch(recoverFrom("ENOENT", null)), null);
    assert.deepEqual(await missing.catch(recoverFrom(["ENOTDIR", "ENOENT"], [])), []);
    assert.equal(await missing.catch(recoverFrom(isSystemError)), undefined);
    await assert.rejects(missing.catch(recoverFrom("ENOTDIR", null)), { code: "ENOENT" });
    await assert.rejects(missing.catch(recoverFrom(isOwnError, null)), { code: "ENOENT" });
    const own = Promise.reject(new MountaineerError("fleet_off", "no"));
    assert.equal(await own.catch(recoverFrom("fleet_off", 1)), 1);
    assert.equal(await own.catch(recoverFrom(isOwnError, 2)), 2);
    const other = Promise.reject(new TypeError("a mistake"));
    await assert.rejects(other.catch(recoverFrom(isSystemError, null)), TypeError);
  });
});
