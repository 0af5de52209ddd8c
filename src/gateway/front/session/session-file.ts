// The sessions of a home on disk, by the SHA-256 of their ids: a line each, of which many changes share a write. What
// cannot be read or written costs sessions, and nothing else.
import { errorText, systemErrorCode } from "../../../runtime/errors.ts";
import { removeLeftovers, writeDurably } from "../../../runtime/files/durable-file.ts";
import { readRegularFile } from "../../../runtime/files/read-regular-file.ts";
import { setAside } from "../../../runtime/files/set-aside.ts";
import { shareWrites } from "../../../runtime/files/shared-writes.ts";
import { settledWithin, type Timer } from "../../../runtime/time/clock.ts";
import type { GatewayTools } from "../../gateway-tools.ts";
import { LONGEST_RECORD, readRecordLine, recordLine, type SessionRecord } from "./session-record.ts";

/** The file's first line: another one is of another version, or somebody else's. */
const HEADER = JSON.stringify({ mountaineer: "sessions", version: 1 });
const PRIVATE_FILE = 0o600;
/** Sessions that are read back; the newest ones. */
const MOST_KEPT = 1_000;
/** Earlier versions wrote a log: twice what it came to, and 64 KiB. */
const LARGEST_FILE = 2 * MOST_KEPT * (LONGEST_RECORD + 1) + 128 * 1024;
const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 60_000;
/** A disk that hangs must not keep clients waiting. */
const SAVE_DEADLINE_MS = 2_000;

interface SessionFileOptions extends GatewayTools {
  readonly path: string;
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
  return new SessionLines(options);
}

class SessionLines implements SessionFile {
  unsavedBecause: string | null = null;
  readonly #options: SessionFileOptions;
  /** What the file comes to, oldest first. */
  readonly #lines = new Map<string, string>();
  /** More has changed than was written. */
  #isBehind = false;
  #loaded: Promise<ReadonlyMap<string, SessionRecord>> | null = null;
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
    this.#lines.delete(hash);
    this.#lines.set(hash, line);
    return this.#changed();
  }

  drop(hash: string): void {
    if (this.#closing === null && this.#lines.delete(hash)) void this.#changed();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #changed(): Promise<boolean> {
    this.#isBehind = true;
    // While the disk takes nothing nobody waits for it: what has changed goes with the next try.
    if (this.unsavedBecause !== null) return false;
    const write = this.#writes.write();
    if (await settledWithin(this.#options.clock, SAVE_DEADLINE_MS, write)) return write;
    this.#failed("the disk gives no answer");
    return false;
  }

  async #write(): Promise<boolean> {
    const { path, logger } = this.#options;
    this.#retry?.[Symbol.dispose]();
    this.#retry = null;
    this.#isBehind = false;
    try {
      await writeDurably(path, asText([HEADER, ...this.#lines.values()]), { mode: PRIVATE_FILE });
      if (this.unsavedBecause !== null) logger.info("the sessions are saved again", { path });
      this.unsavedBecause = null;
      this.#failures = 0;
      // What came while the disk seemed to hang.
      if (this.#isBehind) void this.#writes.write();
      return true;
    } catch (error) {
      this.#isBehind = true;
      this.#failed(errorText(error));
      this.#tryLater();
      return false;
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
    this.#retry?.[Symbol.dispose]();
    const last = this.#isBehind ? this.#writes.write() : this.#writes.settled;
    await settledWithin(this.#options.clock, SAVE_DEADLINE_MS, last);
  }

  async #load(): Promise<ReadonlyMap<string, SessionRecord>> {
    const { path, logger } = this.#options;
    const sessions = new Map<string, SessionRecord>();
    let isAside = false;
    try {
      await removeLeftovers(path);
    } catch (error) {
      logger.warn("temporary files of sessions could not be swept", { path, error: errorText(error) });
    }
    try {
      const text = await readRegularFile(path, LARGEST_FILE);
      if (text === null) return sessions;
      const reason = readLines(text, sessions);
      isAside = reason !== null;
      if (reason !== null) await this.#setAside(reason, sessions.size);
    } catch (error) {
      await this.#setAside(errorText(error), 0);
    }
    for (const [hash, record] of sessions) {
      const line = recordLine(hash, record);
      if (line !== null) this.#lines.set(hash, line);
    }
    // Of what was set aside nothing is on disk any more.
    if (isAside && sessions.size > 0) void this.#writes.write();
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
    const told = { path, reason, set_aside: aside, kept_sessions: kept };
    logger.error("the sessions' file cannot be used", told);
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
