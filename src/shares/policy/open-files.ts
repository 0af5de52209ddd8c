// Files that may be open on a mount, and remounts that wait until none is.
import { pluralize } from "../../runtime/text/plain-text.ts";
import type { RouteName } from "../share-spec.ts";
import { SHARE_CONDITIONS } from "./condition-rows.ts";
import type { DecideInput } from "./decide-input.ts";
import { checkedOpenFiles } from "./operation.ts";
import { type Answer, recheck } from "./rule.ts";
import type { MountObservation, OpenFilesObservation } from "./share-observation.ts";

/**
 * Interval of the checks for programs that must end before a remount, ms. A check comes earlier when such a program
 * ends.
 */
const PROGRAM_CHECK_MS = 1_000;

/**
 * Asks this daemon's programs on the share to end; their calls may take `drain_timeout`. null: none runs. After a failed
 * unmount, asks again only after a pause, unless a person wants the unmount (`isRequested`).
 */
export function programsWait(input: DecideInput, isRequested = false): Answer | null {
  const { observed, state, programsRun } = input;
  if (programsRun !== true) return null;
  const why = "MCP servers that use the share have to end first";
  const { notBeforeMs } = state.stopBackoff;
  if (!isRequested && observed.atMs < notBeforeMs) return { why, ...recheck(notBeforeMs, "retry") };
  const learned = { stopRequested: true };
  return { why, stopPrograms: true, learned, ...recheck(observed.atMs + PROGRAM_CHECK_MS, "drain") };
}

export function describe(files: OpenFilesObservation): string {
  if (files.state === "none") return "nothing is open";
  if (files.state === "unknown") return files.text ?? "the check of open files failed";
  const holders = [...new Set(files.holders.map(({ command, pid }) => `${command} (${pid})`))].slice(0, 5);
  return `${files.holders.length} open: ${holders.join(", ")}`;
}

interface Remount {
  readonly reason: string;
  readonly plan: readonly RouteName[];
  /** True: the mount does not answer, and is unmounted by force. */
  readonly lost?: boolean;
}

/** Remounts as soon as no file is open; until then a condition lists the open files. */
export function remountOnceClosed(
  input: DecideInput,
  mount: MountObservation,
  { reason, plan, lost = false }: Remount,
): Answer {
  const { lastStep } = input.observed;
  const busy = lastStep?.kind === "unmount" && !lastStep.outcome.ok ? lastStep.outcome.text : null;
  const files = checkedOpenFiles(input);
  if (files === null && busy === null) return { step: { kind: "check_open_files", mount: mount.found } };
  if (files?.state === "none" && busy === null) {
    const start = { kind: "remount", reason, mode: lost ? "force" : "plain", plan } as const;
    return programsWait(input) ?? { start, stopPrograms: true };
  }
  const holders = files?.holders ?? [];
  const title = busy ?? files?.text ?? `Waiting until ${pluralize(holders.length, "open file")} are closed`;
  return {
    why: `${reason}, but files are open: ${title}`,
    conditions: [{ ...SHARE_CONDITIONS.waiting_for_close(title), holders }],
  };
}
