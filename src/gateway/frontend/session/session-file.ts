// The file of saved sessions: one line for each session, with the SHA-256 of the session's id. If the file cannot be
// read or written, sessions are lost, but the gateway runs.
import { dropOldest } from "../../../runtime/bounded-map.ts";
import { errorText, systemErrorCode } from "../../../runtime/errors.ts";
import { moveAside, readRegularFile, removeLeftovers } from "../../../runtime/files/durable-file.ts";
import { createDurableValue, type DurableValue } from "../../../runtime/files/durable-value.ts";
import type { GatewayTools } from "../../gateway-tools.ts";
import { LONGEST_RECORD, readRecordLine, recordLine, type SessionRecord } from "./session-record.ts";

/** The first line; a file with any other first line is set aside. */
const HEADER = JSON.stringify({ mountaineer: "sessions", version: 1 });
/** Maximum number of sessions that are read; the newest ones. */
const MOST_STORED = 1_000;
/** Twice the size of a full file. */
const LARGEST_FILE = 2 * MOST_STORED * (LONGEST_RECORD + 1);

interface SessionFileOptions extends GatewayTools {
  readonly path: string;
}

/**
 * `saved`: on disk. `unsaved`: it cannot be saved for now (`unsavedBecause`), so only this daemon knows the session.
 * `lost`: no daemon will serve the session, because this one ends, and the one that had taken over has ended.
 */
export type StoredSession = "saved" | "unsaved" | "lost";

export type SessionFile = Omit<Pick<SessionLines, keyof SessionLines>, "keep"> & {
  /** Never rejects. */
  keep(hash: string, record: SessionRecord): Promise<StoredSession>;
};

/**
 * The session file of one home, used only while this process holds the home's lock. Disposing writes pending
 * changes; later ones are ignored.
 */
export class SessionLines implements AsyncDisposable {
  readonly #options: SessionFileOptions;
  /** The lines of the file by hash, the oldest first. */
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
      content: () => [HEADER, ...this.#lines.values(), ""].join("\n"),
      onUnsaved: ({ message }) => logger.error("the sessions cannot be saved", { path, reason: message }),
      onSavedAgain: () => logger.info("the sessions are saved again", { path }),
    });
  }

  /** Why the newest changes are not on disk; null: they are, or are being written. */
  get unsavedBecause(): string | null {
    return this.#file.unsavedBecause?.message ?? null;
  }

  /** The sessions on disk, by hash; read once, when this process has the home's lock. Never rejects. */
  load(): Promise<ReadonlyMap<string, SessionRecord>> {
    this.#loaded ??= this.#load();
    return this.#loaded;
  }

  /** Resolves once the session is on disk, or cannot be saved. Never rejects. */
  async keep(hash: string, record: SessionRecord): Promise<Exclude<StoredSession, "lost">> {
    if (this.#isClosed) return "unsaved";
    const line = recordLine(hash, record);
    if (line === null) {
      const message = "a session is not saved for a restart: what its client sent at initialize is too long";
      this.#options.logger.info(message, { most_bytes: LONGEST_RECORD });
      this.drop(hash);
      return "unsaved";
    }
    this.#lines.delete(hash);
    this.#lines.set(hash, line);
    return (await this.#save()) ? "saved" : "unsaved";
  }

  /** `_isByClient`: the client has ended the session, so no other daemon may resume it. */
  drop(hash: string, _isByClient = false): void {
    if (!this.#isClosed && this.#lines.delete(hash)) void this.#save();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    return this.#file[Symbol.asyncDispose]();
  }

  async #save(): Promise<boolean> {
    const saved = this.#file.save();
    // While the disk fails, returns false at once: callers must not wait until a retry succeeds.
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
    // The file was renamed, so its sessions are written to a new one.
    if (isAside && sessions.size > 0) void this.#save();
    logger.debug("sessions were read", { path, sessions: sessions.size });
    return sessions;
  }

  /** Renames an unusable file; if that fails, the next write replaces the file. */
  async #setAside(reason: string, storedCount: number): Promise<void> {
    const { path, clock, logger } = this.#options;
    let aside: string | null = null;
    try {
      aside = await moveAside(path, clock.wallMs());
    } catch (error) {
      if (systemErrorCode(error) !== "ENOENT") reason = `${reason}; ${errorText(error)}`;
    }
    logger.error("the sessions' file cannot be used", {
      path,
      reason,
      set_aside: aside,
      kept_sessions: storedCount,
    });
  }
}

/** Adds the sessions in `text` to `sessions`. Returns what is wrong with other lines, or null. */
function readLines(text: string, sessions: Map<string, SessionRecord>): string | null {
  const [header, ...lines] = text.split("\n");
  if (header !== HEADER) return "it does not begin as this version writes it";
  // A crash may have cut off the text after the last newline.
  lines.pop();
  let corrupt = 0;
  for (const line of lines) {
    const read = readRecordLine(line);
    if (read === null) {
      corrupt += 1;
      continue;
    }
    // Deletes the earlier entry, so that the newest one comes last.
    sessions.delete(read.hash);
    if (read.record !== null) sessions.set(read.hash, read.record);
  }
  dropOldest(sessions, MOST_STORED);
  return corrupt === 0 ? null : `${corrupt} of its lines cannot be read`;
}
