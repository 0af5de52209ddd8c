// The session file of a daemon that may hand over. From a handover on, sessions that clients begin here are
// sent to the successor.
import type { SessionFile } from "../../gateway/frontend/session/session-file.ts";
import type { SessionRecord } from "../../gateway/frontend/session/session-record.ts";

export interface BegunSession {
  readonly hash: string;
  readonly record: SessionRecord;
}

interface NextSessions {
  /** False: the successor that had taken over has ended, and the session with it. */
  keep(session: BegunSession): Promise<boolean>;
  /** Called when a client has ended its session here. */
  end(hash: string): void;
}

export interface TransferredSessions extends SessionFile {
  /** The sessions that were sent to the successor; a replacement of that successor also needs them. */
  readonly late: readonly BegunSession[];
  /** Hashes of sessions that clients have ended since the handover began. */
  readonly ended: ReadonlySet<string>;
  /** Finishes pending writes, and then stops writing, because the successor owns the file. */
  handTo(next: NextSessions): Promise<void>;
}

export function transferredSessions(file: SessionFile): TransferredSessions {
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
      return (await next.keep({ hash, record })) ? "saved" : "lost";
    },
    drop(hash, isByClient = false) {
      if (next === null) {
        file.drop(hash);
        return;
      }
      late.delete(hash);
      // A session that was not ended by the client may continue in the successor.
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
