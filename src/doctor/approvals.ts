// Checks which changes of the configuration wait for a person, and what the approvals rest on.
import type { DoctorFinding } from "../api/doctor-report.ts";
import type { ConfigSnapshot } from "../config/snapshot.ts";
import type { StartedApprovals } from "../daemon/approvals/start-approvals.ts";
import { findingsOf } from "./context.ts";

const finding = findingsOf("config");

/** `hasDaemon`: what waits is told by the daemon then. */
export function examineApprovals(
  { keeper, keyPlace }: Pick<StartedApprovals, "keeper" | "keyPlace">,
  { config }: ConfigSnapshot,
  hasDaemon: boolean,
): readonly DoctorFinding[] {
  if (config.backends.length === 0 && keeper.mode === "none") return [];
  const waiting = hasDaemon
    ? []
    : keeper.conditions().map(({ code, title, hint }) => finding("warning", code, title, { hint }));
  if (keeper.mode === "none") {
    const text = "changes of the configuration run without being approved";
    const hint = "fine while nothing but you can write to it; else: mountaineer approve --mode commands";
    return [...waiting, finding("info", "approvals_off", text, { hint })];
  }
  const what = keeper.mode === "all" ? "changes of what is trusted wait" : "changes of what runs wait";
  const told = finding("ok", "approvals", `${what} for \`mountaineer approve\``);
  if (keyPlace !== "file") return [...waiting, told];
  const text = "the key of the approvals stands in the home, as no keyring answers here";
  const hint = "whatever can write to all files of the home can forge approvals: docs/security.md";
  return [...waiting, told, finding("info", "approvals_key_in_home", text, { hint })];
}
