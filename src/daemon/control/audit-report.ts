// The audit's records in the form of the API, read from its files.
import type { AuditEntry, AuditReport, AuditRequest } from "../../api/records-contract.ts";
import type { AuditConfig } from "../../config/snapshot.ts";
import type { JsonMembers } from "../../runtime/text/json-object.ts";
import { holdsText, type ReadPage } from "./record-pages.ts";

/** `config` null: there is none. */
export async function auditReport(
  config: Pick<AuditConfig, "path" | "keep"> | null,
  request: AuditRequest,
  pages: ReadPage,
  signal: AbortSignal,
): Promise<AuditReport> {
  if (config === null) return { enabled: false, path: null, records: [], more: false, next: null };
  const { path, keep } = config;
  const { limit, before } = request;
  const read = (line: JsonMembers): AuditEntry | null => {
    const entry = auditEntry(line);
    return isAskedFor(entry, request) ? entry : null;
  };
  return { enabled: true, path, ...(await pages({ path, keep, limit, before, read }, signal)) };
}

function isAskedFor(entry: AuditEntry, { backend, tool, principal, outcome, text }: AuditRequest): boolean {
  if (backend !== undefined && entry.backend !== backend) return false;
  if (tool !== undefined && entry.target !== `tool:${tool}`) return false;
  if (principal !== undefined && entry.principal !== principal) return false;
  if (outcome !== undefined && entry.outcome !== outcome && !entry.outcome?.startsWith(`${outcome}:`)) {
    return false;
  }
  return holdsText(Object.values(entry), text);
}

const TEXTS = [
  "subject",
  "issuer",
  "session",
  "method",
  "outcome",
  "reason",
  "since",
  "event",
  "entry",
  "summary",
] as const;
const NAMES = ["principal", "target", "backend", "remote"] as const;
const NUMBERS = ["duration_ms", "count", "dropped"] as const;

/** Only what is as it should be: people may have written in the file. */
function auditEntry(line: JsonMembers): AuditEntry {
  const entry: AuditEntry = { time: String(line["time"]), kind: kindOf(line) };
  for (const name of NAMES) {
    const value = line[name];
    if (typeof value === "string" || value === null) entry[name] = value;
  }
  for (const name of TEXTS) {
    const value = line[name];
    if (typeof value === "string") entry[name] = value;
  }
  for (const name of NUMBERS) {
    const value = line[name];
    if (typeof value === "number") entry[name] = value;
  }
  if ("asked" in line) entry.asked = line["asked"];
  if ("arguments" in line) entry.arguments = line["arguments"];
  return entry;
}

function kindOf(line: JsonMembers): AuditEntry["kind"] {
  if ("method" in line) return "request";
  if ("event" in line) return "notice";
  return "dropped" in line ? "lost" : "refused";
}
