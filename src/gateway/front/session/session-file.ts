// The sessions of a home on disk, by the SHA-256 of their ids: a log of lines that many changes share a write of, and that
// is written anew when it has grown. What cannot be read or written costs sessions, and nothing else.
import { constants, type FileHandle, open } from "node:fs/promises";
import { errorText, systemErrorCode } from "../../../runtime/errors.ts";
import { removeLeftovers, writeDurably } from "../../../runtime/files/durable-file.ts";
import { readRegularFile } from "../../../runtime/files/read-regular-file.ts";
import { setAside } from "../../../runtime/files/set-aside.ts";
import { shareWrites } from "../../../runtime/files/shared-writes.ts";
import type { Logger } from "../../../runtime/log/log.ts";
import { type Clock, settledWithin, type Timer } from "../../../runtime/time/clock.ts";
import {
  goneLine,
  LONGEST_RECORD,
  readRecordLine,
  recordLine,
  type SessionRecord,
} from "./session-record.ts";

/** The file's first line: another one is of another version, or somebody else's. */
const HEADER = JSON.stringify({ mountaineer: "sessions", version: 1 });
const PRIVATE_FILE = 0o600;
/** Sessions that are read back; the newest ones. */
const MOST_KEPT = 1_000;
/** The log may be so much longer than what it comes to. */
const SPARE_BYTES = 64 * 1024;
const LARGEST_FILE = 2 * MOST_KEPT * (LONGEST_RECORD + 1) + 2 * SPARE_BYTES;
const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 60_000;
/** A disk that hangs must not keep clients waiting. */
const SAVE_DEADLINE_MS = 2_000;

interface SessionFileOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** One for each home, under its lock. Disposed, it has written what it was given, and writes nothing more. */
export interface SessionFile extends AsyncDisposable {
  /** What is there, by hash; read the first time alone, and to be called when the home is ours. Never rejects. */
  load(): Promise<ReadonlyMap<string, SessionRecord>>;
  /** Resolves when it is durable: true; or cannot be, for now: false, which `unsavedBecause` explains. Never rejects. */
  keep(hash: string, record: SessionRecord): Promise<boolean>;
  /** `isByClient`: it is to go on nowhere else, either. */
  drop(hash: string, isByClient?: boolean): void;
  /** Why what was last given is on no disk; null: it is, or is about to be. */
  readonly unsavedBecause: string | null;
}

export function openSessionFile(options: SessionFileOptions): SessionFile {
  return new LoggedSessions(options);
}

class LoggedSessions implements SessionFile {
  unsavedBecause: string | null = null;
  readonly #options: SessionFileOptions;
  /** What the file comes to, oldest first. */
  readonly #lines = new Map<string, string>();
  #bytes = 0;
  /** What has changed since the last write began, for the log's end. */
  #changes: string[] = [];
  /** More has changed than `changes` says. */
  #isBehind = false;
  #loaded: Promise<ReadonlyMap<string, SessionRecord>> | null = null;
  /** The file as far as lines can be added to it; null: it has to be written anew. */
  #log: { readonly handle: FileHandle; bytes: number } | null = null;
  readonly #writes = shareWrites(() => this.#write());
  #failures = 0;
  #retry: Timer | null = null;
  #closing: Promise<void> | null = null;

  constructor(options: SessionFileOptions) {
    this.#options = options;
  }

  load(): Promise<ReadonlyMap<string, SessionRecord>> {
    this.#loaded ??= this.#load();
    return this.#loaded;
  }

  async keep(hash: string, record: SessionRecord): Promise<boolean> {
    if (this.#closing !== null) return false;
    const line = recordLine(hash, record);
    if (line === null) {
      this.#options.logger.info("a session is not kept for a restart: its client says too much of itself", {
        most_bytes: LONGEST_RECORD,
      });
      this.drop(hash);
      return false;
    }
    this.#forget(hash);
    this.#lines.set(hash, line);
    this.#bytes += line.length + 1;
    return this.#change(line);
  }

  drop(hash: string): void {
    if (this.#closing === null && this.#forget(hash)) void this.#change(goneLine(hash));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #forget(hash: string): boolean {
    const line = this.#lines.get(hash);
    if (line === undefined) return false;
    this.#bytes -= line.length + 1;
    return this.#lines.delete(hash);
  }

  async #change(line: string): Promise<boolean> {
    // While the disk takes nothing nobody waits for it: what has changed goes with the next try.
    if (this.unsavedBecause !== null) {
      this.#isBehind = true;
      return false;
    }
    this.#changes.push(line);
    const write = this.#writes.write();
    if (await settledWithin(this.#options.clock, SAVE_DEADLINE_MS, write)) return write;
    this.#failed("the disk gives no answer");
    return false;
  }

  async #write(): Promise<boolean> {
    this.#retry?.[Symbol.dispose]();
    this.#retry = null;
    const changes = this.#changes;
    const wasBehind = this.#isBehind;
    this.#changes = [];
    this.#isBehind = false;
    try {
      if (wasBehind) await this.#closeLog();
      await this.#writeLines(changes);
      if (this.unsavedBecause !== null) {
        this.#options.logger.info("the sessions are saved again", { path: this.#options.path });
      }
      this.unsavedBecause = null;
      this.#failures = 0;
      // What came while the disk seemed to hang.
      if (this.#isBehind) void this.#writes.write();
      return true;
    } catch (error) {
      // Half a line may stand at its end: the next one would be lost with it.
      await this.#closeLog();
      this.#isBehind = true;
      this.#failed(errorText(error));
      this.#tryLater();
      return false;
    }
  }

  async #writeLines(changes: readonly string[]): Promise<void> {
    const { path } = this.#options;
    const added = asText(changes);
    const log = this.#log;
    if (log !== null && log.bytes + added.length <= 2 * this.#bytes + SPARE_BYTES) {
      // Whoever removed the file has not removed the sessions.
      if ((await log.handle.stat()).nlink > 0) {
        await log.handle.appendFile(added);
        await log.handle.datasync();
        log.bytes += added.length;
        return;
      }
    }
    await this.#closeLog();
    const whole = asText([HEADER, ...this.#lines.values()]);
    await writeDurably(path, whole, { mode: PRIVATE_FILE });
    const handle = await open(path, constants.O_WRONLY | constants.O_APPEND | constants.O_NOFOLLOW);
    this.#log = { handle, bytes: whole.length };
  }

  async #closeLog(): Promise<void> {
    const log = this.#log;
    this.#log = null;
    try {
      await log?.handle.close();
    } catch {
      // What could not be written has been told.
    }
  }

  #failed(reason: string): void {
    const { path, logger } = this.#options;
    if (this.unsavedBecause === null) logger.error("the sessions cannot be saved", { path, reason });
    this.unsavedBecause = reason;
  }

  #tryLater(): void {
    if (this.#closing !== null) return;
    const delayMs = Math.min(FIRST_RETRY_MS * 2 ** this.#failures, MAX_RETRY_MS);
    this.#failures += 1;
    this.#retry = this.#options.clock.setTimer(delayMs, () => void this.#writes.write());
  }

  async #close(): Promise<void> {
    const { clock } = this.#options;
    this.#retry?.[Symbol.dispose]();
    const last = this.#changes.length > 0 || this.#isBehind ? this.#writes.write() : this.#writes.settled;
    if (await settledWithin(clock, SAVE_DEADLINE_MS, last)) await this.#closeLog();
  }

  async #load(): Promise<ReadonlyMap<string, SessionRecord>> {
    const { path, logger } = this.#options;
    const sessions = new Map<string, SessionRecord>();
    try {
      await removeLeftovers(path);
    } catch (error) {
      logger.warn("temporary files of sessions could not be swept", { path, error: errorText(error) });
    }
    try {
      const text = await readRegularFile(path, LARGEST_FILE);
      if (text === null) return sessions;
      const reason = readLines(text, sessions);
      if (reason !== null) await this.#setAside(reason, sessions.size);
    } catch (error) {
      await this.#setAside(errorText(error), 0);
    }
    for (const [hash, record] of sessions) {
      const line = recordLine(hash, record);
      if (line === null) continue;
      this.#lines.set(hash, line);
      this.#bytes += line.length + 1;
    }
    logger.debug("sessions were read", { path, sessions: sessions.size });
    return sessions;
  }

  /** Whatever stands there: the start goes on, and at the next write the place is ours. */
  async #setAside(reason: string, kept: number): Promise<void> {
    const { path, clock, logger } = this.#options;
    let aside: string | null = null;
    try {
      aside = await setAside(path, clock.wallMs());
    } catch (error) {
      if (systemErrorCode(error) !== "ENOENT") reason = `${reason}; ${errorText(error)}`;
    }
    logger.error("the sessions' file cannot be used", {
      path,
      reason,
      set_aside: aside,
      kept_sessions: kept,
    });
    // Nothing of it is on disk any more.
    if (kept > 0) void this.#writes.write();
  }
}

/** Adds what is there to `sessions`; what is wrong with the rest, or null. */
function readLines(text: string, sessions: Map<string, SessionRecord>): string | null {
  const [header, ...lines] = text.split("\n");
  if (header !== HEADER) return "it does not begin as this version writes it";
  // What follows the last newline is a line that a crash cut off.
  lines.pop();
  let corrupt = 0;
  for (const line of lines) {
    const read = readRecordLine(line);
    if (read.kind === "corrupt") {
      corrupt += 1;
      continue;
    }
    // The newest last.
    sessions.delete(read.hash);
    if (read.kind === "session") sessions.set(read.hash, read.record);
  }
  for (const hash of sessions.keys()) {
    if (sessions.size <= MOST_KEPT) break;
    sessions.delete(hash);
  }
  return corrupt === 0 ? null : `${corrupt} of its lines cannot be read`;
}

function asText(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join("");
}
