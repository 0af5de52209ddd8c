// `logs --audit`: prints the last records of the audit, and follows it.
import type { AuditEntry, AuditRequest } from "../../api/contract/records.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { printable } from "../../runtime/text/plain-text.ts";
import { localClock, localDay, systemClock } from "../../runtime/time/clock.ts";
import type { CommandContext } from "../input/command.ts";
import { type DaemonPurpose, withDaemon } from "./control-session.ts";
import { openPagedLog } from "./paged-log.ts";
import { untilUnread, type Wanted } from "./show-log.ts";

/** Which records are wanted. */
export type AuditFilter = Pick<AuditRequest, "backend" | "tool" | "principal" | "outcome">;

const READING: DaemonPurpose = { intent: "look", so: "so nothing can read the audit" };

/** Rejects with `daemon_unreachable`. */
export function showAudit(
  context: CommandContext,
  { filter, lines: count, since, follow }: Wanted & { filter: AuditFilter; follow: boolean },
): Promise<void> {
  return withDaemon(context, READING, async (daemon) => {
    const call = async (request: AuditRequest) => {
      const { enabled, records, next } = await daemon.call(
        "audit",
        { ...request, ...filter },
        context.signal,
      );
      if (!enabled) {
        throw new MountaineerError("usage", "nothing is audited: the configuration has no [audit]", {
          hint: "an [audit] section in the configuration begins it, even an empty one",
        });
      }
      return { records, next };
    };
    const isTooOld = ({ time }: AuditEntry): boolean => since !== null && Date.parse(time) < since;
    const log = await openPagedLog({ count, matches: () => true, isTooOld, read: call, clock: systemClock });
    const print = (record: AuditEntry): void =>
      context.print(`${context.json ? JSON.stringify(record) : auditLine(record)}\n`);
    for (const record of log.last) print(record);
    if (log.last.length === 0) context.notify("no record matches");
    if (!follow) return;
    for await (const record of log.follow(untilUnread(context.signal))) print(record);
  });
}

/** `2026-11-20 14:32:05  ok  ada  tool:read_file  on files  12 ms`. */
function auditLine(record: AuditEntry): string {
  const {
    kind,
    principal,
    client,
    target,
    method,
    event,
    summary,
    reason,
    backend,
    outcome,
    duration_ms: took,
  } = record;
  const at = new Date(record.time);
  const parts = [
    `${localDay(at)} ${localClock(at)}`,
    (outcome ?? kind).padEnd(OUTCOME_WIDTH),
    `${principal ?? "-"}${client === undefined ? "" : ` (${client})`}`,
    target ?? method ?? event,
    summary,
    reason,
    backend == null ? null : `on ${backend}`,
    took === undefined ? null : `${Math.round(took)} ms`,
  ];
  return printable(parts.filter((part) => typeof part === "string").join("  "));
}

/** Room for `tool_error`. */
const OUTCOME_WIDTH = 10;
