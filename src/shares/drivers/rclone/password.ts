// Passwords in the obscured form that rclone's config needs. rclone makes it; the result is kept in memory.

import { rcloneProgram } from "../../../rclone-release/installed.ts";
import { MountaineerError } from "../../../runtime/errors.ts";
import { runCommand } from "../../../runtime/process/child-process.ts";
import type { Clock } from "../../../runtime/time/clock.ts";

const DEADLINE_MS = 5_000;

/**
 * Returns the function `obscure(password)`. The function remembers its results, so that a failover need not run
 * rclone to obscure a password.
 */
export function createObscuredPasswords(clock: Clock, home: string): (password: string) => Promise<string> {
  const known = new Map<string, Promise<string>>();
  const obscure = async (password: string): Promise<string> => {
    // The password goes to standard input, because other users can see arguments.
    const { exitCode, stdout, stderr } = await runCommand(await rcloneProgram(home), ["obscure", "-"], {
      clock,
      deadlineMs: DEADLINE_MS,
      stdin: password,
    });
    const obscured = stdout.trim();
    if (exitCode !== 0 || obscured === "") {
      throw new MountaineerError("mount_failed", `rclone obscure failed: ${stderr.trim()}`, {
        retry: "later",
      });
    }
    return obscured;
  };
  return (password) => {
    const made = known.get(password);
    if (made !== undefined) return made;
    const making = obscure(password);
    known.set(password, making);
    making.catch(() => known.delete(password));
    return making;
  };
}
