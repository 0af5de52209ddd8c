// The sessions of a home on disk, by the SHA-256 of their ids: a line each, of which many changes share a write. What
// cannot be read or written costs sessions, and nothing else.
import { errorText, systemErrorCode } from "../../../runtime/errors.ts";
import { readRegularFile, removeLeftovers, setAside } from "../../../runtime/files/durable-file.ts";
import { createDurableValue, type DurableValue } from "../../../runtime/files/durable-value.ts";
import type { GatewayTools } from "../../gateway-tools.ts";
import { LONGEST_RECORD, readRecordLine, recordLine, type SessionRecord } from "./session-record.ts";

/** The file's first line: another one is of another version, or somebody else's. */
const HEADER = JSON.stringify({ mountaineer: "sessions", version: 1 });
/** Sessions that are read back; the newest ones. */
const MOST_KEPT = 1_000;
/** Earlier versions wrote a log: twice what it came to, and 64 KiB. */
const LARGEST_FILE = 2 * MOST_KEPT * (LONGEST_RECORD + 1) + 128 * 1024;

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
  readonly #options: SessionFileOptions;
  /** What the file comes to, oldest first. */
  readonly #lines = new Map<string, string>();
  readonly #file: DurableValue;
  #loaded: Promise<ReadonlyMap<string, SessionRecord>> | null = null;
  #isClosed = false;

  constructor(options: SessionFileOptions) {
    const { path, clock, logger } = options;
    this.#options = options;
    this.#file = createDurableValue({
      path,
      clock,
      content: () => asText([HEADER, ...this.#lines.values()]),
      onUnsaved: ({ message }) => logger.error("the sessions cannot be saved", { path, reason: message }),
      onSavedAgain: () => logger.info("the sessions are saved again", { path }),
    });
  }

  get unsavedBecause(): string | null {
    return this.#file.unsavedBecause?.message ?? null;
  }

  load(): Promise<ReadonlyMap<string, SessionRecord>> {
    this.#loaded ??= this.#load();
    return this.#loaded;
  }

  async keep(hash: string, record: SessionRecord): Promise<boolean> {
    if (this.#isClosed) return false;
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
    return this.#save();
  }

  drop(hash: string): void {
    if (!this.#isClosed && this.#lines.delete(hash)) void this.#save();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    return this.#file[Symbol.asyncDispose]();
  }

  async #save(): Promise<boolean> {
    const saved = this.#file.save();
    // Nobody waits for a disk that takes nothing.
    return this.unsavedBecause === null && (await saved) === null;
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
    if (isAside && sessions.size > 0) void this.#save();
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
