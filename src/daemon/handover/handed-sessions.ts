// The file of sessions of a daemon that may hand over: from then on what clients begin here is told to the next one.
import type { SessionFile } from "../../gateway/front/session/session-file.ts";
import type { SessionRecord } from "../../gateway/front/session/session-record.ts";

export interface BegunSession {
  readonly hash: string;
  readonly record: SessionRecord;
}

interface NextSessions {
  keep(session: BegunSession): Promise<void>;
  /** Its client has ended the session. */
  end(hash: string): void;
}

export interface HandedSessions extends SessionFile {
  /** What the next one was told: it has to be told again to one that takes its place. */
  readonly late: readonly BegunSession[];
  /** By hash, those that clients have ended since, likewise. */
  readonly ended: ReadonlySet<string>;
  /** Writes what it was given, and then nothing more: another process has the file. */
  handTo(next: NextSessions): Promise<void>;
}

export function handedSessions(file: SessionFile): HandedSessions {
  let next: NextSessions | null = null;
  const late = new Map<string, BegunSession>();
  const ended = new Set<string>();
  return {
    get late() {
      return [...late.values()];
    },
    ended,
    load: () => file.load(),
    async keep(hash, record) {
      if (next === null) return file.keep(hash, record);
      late.set(hash, { hash, record });
      await next.keep({ hash, record });
      return true;
    },
    drop(hash, isByClient = false) {
      if (next === null) {
        file.drop(hash);
        return;
      }
      late.delete(hash);
      // It may go on there for other reasons: its client is there by now, and idle here.
      if (!isByClient) return;
      ended.add(hash);
      next.end(hash);
    },
    get unsavedBecause() {
      return next === null ? file.unsavedBecause : null;
    },
    async handTo(sessions) {
      next = sessions;
      await file[Symbol.asyncDispose]();
    },
    [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
  };
}
