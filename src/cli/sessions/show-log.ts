// `logs`: picks the file and its lines, and follows it if asked.

import { MountaineerError } from "../../runtime/errors.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import type { CommandContext } from "../input/command.ts";
import { isAboutShare, logLineJson, renderLogLine } from "../views/log-view.ts";
import { findShare, readMembers } from "./config-members.ts";
import { viewConfig } from "./config-session.ts";
import { openLogFile } from "./log-lines-file.ts";

interface LogRequest {
  readonly path: string;
  readonly share: string | null;
  readonly lines: number;
  readonly follow: boolean;
}

/**
 * Prints what was logged, and with `follow` what is, until the signal aborts, which is no failure. Rejects with
 * `share_unknown` for a share that neither the configuration nor the log knows, and with the system's error.
 */
export async function showLog(context: CommandContext, request: LogRequest): Promise<void> {
  const { path, lines: count, follow } = request;
  const share = request.share === null ? null : await spelledAsConfigured(context, request.share);
  const matches = (line: string): boolean => share === null || isAboutShare(line, share.name);
  await using log = await openLogFile({ path, count, matches, clock: systemClock });
  if (share?.unknown && log.last.length === 0) throw share.unknown;
  const print = (line: string): void =>
    context.print(context.json ? logLineJson(line) : renderLogLine(line, context.stdoutStyle.color));
  for (const line of log.last) print(line);
  if (!log.exists) context.note(`nothing is logged yet in ${path}`);
  if (!follow) return;
  // The reader may have read enough.
  const unread = new AbortController();
  process.stdout.once("error", () => unread.abort());
  for await (const line of log.follow(AbortSignal.any([context.signal, unread.signal]))) {
    if (matches(line)) print(line);
  }
}

interface NamedShare {
  readonly name: string;
  /** Set when it is not configured: it may have been once. */
  readonly unknown: MountaineerError | null;
}

async function spelledAsConfigured(context: CommandContext, name: string): Promise<NamedShare> {
  try {
    const found = await viewConfig(context, async (view) => findShare(await readMembers(view), name));
    return { name: found.name, unknown: null };
  } catch (error) {
    if (!(error instanceof MountaineerError)) throw error;
    if (error.code === "aborted") throw error;
    // A log is needed most when the configuration, or the daemon, is broken.
    return { name: name.normalize("NFC"), unknown: error.code === "share_unknown" ? error : null };
  }
}
