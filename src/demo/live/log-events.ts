// The daemon's log for people: one short line for each event, as it happens.

import { open } from "node:fs/promises";
import type { RouteName } from "../../api/contract.ts";
import { systemErrorCode } from "../../runtime/errors.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { createLineSplitter } from "../../runtime/text/line-splitter.ts";

export interface LogEvent {
  /** Wall clock, ms. */
  readonly atMs: number;
  readonly text: string;
  /** "person": it is what somebody at the keys did. */
  readonly tone: "plain" | "good" | "bad" | "ready" | "person";
}

export const ROUTE_LABELS: Readonly<Record<RouteName, string>> = { tb: "Thunderbolt", fallback: "Fallback" };

const READ_AT_MOST = 64 * 1024;
const LINE_AT_MOST = 1024 * 1024;

/** Reads what has been added to a JSON-lines log since the last time; nothing while there is no file. */
export function createLogTail(path: string): () => Promise<LogEvent[]> {
  let offset = 0;
  const splitter = createLineSplitter(LINE_AT_MOST, () => {});
  return async () => {
    const chunk = await readFrom(path, offset);
    offset += chunk.length;
    return [...splitter.take(chunk)].flatMap((line) => eventOf(line) ?? []);
  };
}

async function readFrom(path: string, offset: number): Promise<Buffer> {
  try {
    const file = await open(path, "r");
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(READ_AT_MOST), 0, READ_AT_MOST, offset);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return Buffer.alloc(0);
    throw error;
  }
}

type Fields = Readonly<Record<string, unknown>>;
type Told = readonly [text: string, tone?: LogEvent["tone"]];

/** null if the line is not a record, or would tell people nothing new. */
export function eventOf(line: string): LogEvent | null {
  const record = jsonObject(line);
  if (record === null) return null;
  const { time, message } = record;
  if (typeof time !== "string" || typeof message !== "string") return null;
  const told = TOLD[message]?.(record) ?? (message in TOLD || message.includes(".") ? null : [message]);
  if (told === null) return null;
  const [text, tone = "plain"] = told;
  return { atMs: Date.parse(time), text, tone };
}

const TOLD: Readonly<Record<string, (fields: Fields) => Told | null>> = {
  running: () => ["the daemon runs"],
  stopping: () => ["the daemon is told to stop"],
  "network.changed": ({ reasons }) => [`network: ${Array.isArray(reasons) ? reasons.join(", ") : "changed"}`],
  "share.route_up": (fields) => [`${route(fields, "route")} answers`],
  "share.route_down": (fields) => [gone(fields), "bad"],
  "share.adopted": (fields) => [`a mount over ${route(fields, "route")} is there already: kept`],
  "share.vanished": () => ["the mount is gone", "bad"],
  "share.mount_attempt": () => null,
  "share.mounted": (fields) => [`mounted over ${route(fields, "to")}${took(fields)}`, "good"],
  "share.mount_failed": (fields) => [`mounting failed: ${word(fields, "reason")}`, "bad"],
  "share.unmounted": () => null,
  "share.unmount_failed": (fields) => [`not unmounted: ${word(fields, "reason")}`],
  "share.failover": (fields) => [`FAILOVER ${moved(fields)}`, "good"],
  "share.recovered": (fields) => [`RECOVERED ${moved(fields)}`, "good"],
  "share.switched": (fields) => [`SWITCHED ${moved(fields)}`, "good"],
  "share.remounted": (fields) => [`mounted anew over ${route(fields, "to")}${took(fields)}`, "good"],
  "share.move_failed": (fields) => [
    `not moved to ${route(fields, "route")}: ${word(fields, "reason")}`,
    "bad",
  ],
  "share.recovery_failed": (fields) => [`recovery failed: ${word(fields, "reason")}`, "bad"],
  "share.recovery_deferred": (fields) => [`recovery waits: ${word(fields, "reason")}`],
  "share.tb_ready": () => ["TB READY", "ready"],
  "share.tb_ready_cleared": (fields) => [`no more TB Ready: ${word(fields, "reason")}`],
  "share.open_files_checked": () => null,
  "share.held": ({ to }) => [
    to === "auto"
      ? "held no more: the rules go on"
      : `held ${to === "fallback" ? "on Fallback" : String(to)} by hand`,
  ],
  "share.error": (fields) => [`error: ${word(fields, "reason")}`, "bad"],
  "share.error_cleared": () => ["the error is over", "good"],
};

function word(fields: Fields, name: string): string {
  const value = fields[name];
  return typeof value === "string" ? value : "";
}

function route(fields: Fields, name: string): string {
  const value = fields[name];
  if (value === "tb" || value === "fallback") return ROUTE_LABELS[value];
  return value === "none" ? "nothing" : "an unknown route";
}

/** Without the host's name, which the cable shows already: `Thunderbolt is gone: connection refused`. */
function gone(fields: Fields): string {
  const [reason, host] = [word(fields, "reason"), word(fields, "host")];
  const why = (host !== "" && reason.startsWith(host) ? reason.slice(host.length) : reason).replace(
    /^[: ]+/,
    "",
  );
  const label = route(fields, "route");
  if (why.startsWith("is ")) return `${label} ${why}`;
  return why === "" ? `${label} is gone` : `${label} is gone: ${why}`;
}

function took({ duration_ms: ms }: Fields): string {
  return typeof ms === "number" ? ` in ${Math.round(ms)} ms` : "";
}

function moved(fields: Fields): string {
  const stays = fields["carried"] === true ? "; the mount stays" : "";
  return `${route(fields, "from")} to ${route(fields, "to")}${took(fields)}${stays}`;
}
