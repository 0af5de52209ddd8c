// The file of sessions of a daemon that may hand over: from then on what clients begin here is told to the next one.
import type { SessionFile } from "../../gateway/front/session/session-file.ts";
import type { SessionRecord } from "../../gateway/front/session/session-record.ts";

export interface HandedSessions extends SessionFile {
  /** Writes what it was given, and then nothing more: another process has the file. */
  handTo(
    keep: (session: { readonly hash: string; readonly record: SessionRecord }) => Promise<void>,
  ): Promise<void>;
}

export function handedSessions(file: SessionFile): HandedSessions {
  let next: Parameters<HandedSessions["handTo"]>[0] | null = null;
  return {
    load: () => file.load(),
    async keep(hash, record) {
      if (next === null) return file.keep(hash, record);
      await next({ hash, record });
      return true;
    },
    drop(hash) {
      if (next === null) file.drop(hash);
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
