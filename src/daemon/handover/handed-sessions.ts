// The file of sessions of a daemon that may hand over: from then on what clients begin here is told to the next one.
import type { SessionFile } from "../../gateway/front/session/session-file.ts";
import type { SessionRecord } from "../../gateway/front/session/session-record.ts";

export interface BegunSession {
  readonly hash: string;
  readonly record: SessionRecord;
}

export interface HandedSessions extends SessionFile {
  /** What the next one was told: it has to be told again to one that takes its place. */
  readonly late: readonly BegunSession[];
  /** Writes what it was given, and then nothing more: another process has the file. */
  handTo(keep: (session: BegunSession) => Promise<void>): Promise<void>;
}

export function handedSessions(file: SessionFile): HandedSessions {
  let next: Parameters<HandedSessions["handTo"]>[0] | null = null;
  const late = new Map<string, BegunSession>();
  return {
    get late() {
      return [...late.values()];
    },
    load: () => file.load(),
    async keep(hash, record) {
      if (next === null) return file.keep(hash, record);
      late.set(hash, { hash, record });
      await next({ hash, record });
      return true;
    },
    drop(hash) {
      if (next === null) file.drop(hash);
      else late.delete(hash);
    },
    get unsavedBecause() {
      return next === null ? file.unsavedBecause : null;
    },
    async handTo(keep) {
      next = keep;
      await file[Symbol.asyncDispose]();
    },
    [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
  };
}
