// The daemon's log in the form of the API, read from its file.
import type { Control } from "../../api/operations.ts";
import type { LogLine, LogRequest } from "../../api/records-contract.ts";
import type { LogLevel } from "../../runtime/log/log.ts";
import { LOG_LEVELS } from "../../runtime/log/log-lines.ts";
import type { JsonMembers } from "../../runtime/text/json-object.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { createRecordPages, holdsText } from "./record-pages.ts";

/** Of the log's file, one is kept that was rotated. */
const KEPT = 1;

export function createLogReader(path: string, clock: Clock): Control["daemonLog"] {
  const pages = createRecordPages(clock);
  return async (request, signal) => {
    const { limit, before } = request;
    const read = (line: JsonMembers): LogLine | null => {
      const found = logLine(line);
      return found !== null && isAskedFor(found, request) ? found : null;
    };
    const { records, ...page } = await pages({ path, keep: KEPT, limit, before, read }, signal);
    return { path, lines: records, ...page };
  };
}

function isAskedFor({ level, message, fields = {} }: LogLine, { level: least, text }: LogRequest): boolean {
  if (least !== undefined && LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(least)) return false;
  return holdsText([message, ...Object.values(fields)], text);
}

/** null: it is none of this log's. */
function logLine({ time, level, message, ...fields }: JsonMembers): LogLine | null {
  if (typeof time !== "string" || typeof message !== "string" || !isLevel(level)) return null;
  const line = { at: time, level, message };
  return Object.keys(fields).length === 0 ? line : { ...line, fields };
}

function isLevel(value: unknown): value is LogLevel {
  return LOG_LEVELS.some((level) => level === value);
}
