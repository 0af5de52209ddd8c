// The audit's records for the management API, read from the audit's files.
import {
  type AuditEntry,
  type AuditReport,
  type AuditRequest,
  auditRecordShape,
} from "../../api/contract/records.ts";
import type { AuditConfig } from "../../config/snapshot.ts";
import type { JsonMembers } from "../../runtime/text/json-object.ts";
import { containsText, type ReadPage } from "./record-pages.ts";

/** `config` is null if no audit is configured. */
export async function auditReport(
  config: Pick<AuditConfig, "path" | "keep"> | null,
  request: AuditRequest,
  pages: ReadPage,
  signal: AbortSignal,
): Promise<AuditReport> {
  if (config === null) return { enabled: false, path: null, records: [], more: false, next: null };
  const { path, keep } = config;
  const { limit, before, since } = request;
  const read = (line: JsonMembers): AuditEntry | null => {
    const entry = auditEntry(line);
    return matches(entry, request) ? entry : null;
  };
  return { enabled: true, path, ...(await pages({ path, keep, limit, before, since, read }, signal)) };
}

function matches(entry: AuditEntry, { backend, tool, principal, outcome, text }: AuditRequest): boolean {
  if (backend !== undefined && entry.backend !== backend) return false;
  if (tool !== undefined && entry.target !== `tool:${tool}`) return false;
  if (principal !== undefined && entry.principal !== principal) return false;
  if (outcome !== undefined && entry.outcome !== outcome && !entry.outcome?.startsWith(`${outcome}:`)) {
    return false;
  }
  return containsText(Object.values(entry), text);
}

/** Drops members of the wrong type: people may have edited the file. */
function auditEntry(line: JsonMembers): AuditEntry {
  const sound = Object.entries(auditRecordShape.fields).filter(
    ([name, shape]) => name in line && shape.faultIn(line[name]) === null,
  );
  const members = Object.fromEntries(sound.map(([name]) => [name, line[name]]));
  return { ...members, time: String(line["time"]), kind: kindOf(line) };
}

function kindOf(line: JsonMembers): AuditEntry["kind"] {
  if ("method" in line) return "request";
  if ("event" in line) return "notice";
  return "dropped" in line ? "lost" : "refused";
}
