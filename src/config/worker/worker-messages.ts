// The requests to the process that reads and edits configurations, and its answers.
import type { ErrorCode } from "../../runtime/errors.ts";
import type { RequestedEdit } from "../edit/key-path.ts";
import type { SavedConfig, SaveTarget } from "../edit/save.ts";
import type { LoadedConfig } from "../read/load.ts";

type Subject = Pick<SaveTarget, "path" | "homeContext">;
type Save = Omit<SaveTarget, "clock">;

/** Bytes travel as base64. */
export type WorkerRequest =
  | (Subject & {
      readonly kind: "load";
      /** The content to read instead of the file; null: read the file; "": an empty configuration. */
      readonly content: string | null;
      /** Whether to write a commented starter first if there is no file. */
      readonly writeStarter: boolean;
      /**
       * The inode that had the content; null: the one of the file now. Absent: the content never waits for a person.
       */
      readonly inode?: string | null | undefined;
      /** True: the file was seen moved in whole. */
      readonly isMovedIn?: boolean;
      /** How long to wait for a program that has the file open for writing, ms. Default: 3 s if the file is read. */
      readonly waitMs?: number;
    })
  | (Save & { readonly kind: "edit"; readonly edits: readonly RequestedEdit[] })
  | (Save & { readonly kind: "replace"; readonly content: string });

export interface LoadedByWorker {
  readonly loaded: LoadedConfig;
  /** Why the content waits for a person; null: it does not. */
  readonly held: string | null;
  /** True: the file has other bytes than the given ones by now. */
  readonly isStale: boolean;
  /** The hash of the bytes that were read, hexadecimal. */
  readonly sha256: string;
  readonly starterWritten: boolean;
}

export type WorkerReply =
  | (LoadedByWorker & { readonly kind: "loaded" })
  | {
      readonly kind: "saved";
      readonly saved:
        | (Omit<Extract<SavedConfig, { ok: true }>, "bytes"> & { readonly content: string })
        | Extract<SavedConfig, { ok: false }>;
    }
  | {
      readonly kind: "failed";
      readonly code: ErrorCode;
      readonly message: string;
      readonly hint: string | null;
    };
