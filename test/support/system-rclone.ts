// For tests whose own program stands in for rclone on PATH: nothing else is started instead, whatever lies in this checkout.
import type { Scope } from "./temporary-folder.ts";

export function preferSystemRclone(t: Scope): void {
  process.env["MOUNTAINEER_RCLONE"] = "rclone";
  t.after(() => {
    delete process.env["MOUNTAINEER_RCLONE"];
  });
}
