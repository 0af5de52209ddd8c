// The requests to the process that reads and edits configurations, and its answers.
import type { ErrorCode } from "../../runtime/errors.ts";
import type { AskedEdit } from "../edit/key-path.ts";
import type { KnownContent } from "../edit/save.ts";
import type { ConfigLayer } from "../layer/layer.ts";
import type { ConfigPlace } from "../locate.ts";
import type { LoadedConfig } from "../read/load.ts";
import type { ConfigSnapshot, MountaineerConfig } from "../snapshot.ts";
import type { ConfigMistake } from "../values/mistakes.ts";

interface Subject {
  /** Absolute. */
  readonly path: string;
  readonly place: ConfigPlace;
  /** The layer under the file. Absent or null: none. */
  readonly layer?: ConfigLayer | null;
}

/** A request to the process. Bytes travel as base64. */
export type ApartRequest = Subject &
  (
    | {
        readonly kind: "load";
        /** Content to read instead of the file; null reads the file; "" is an empty configuration. */
        readonly content: string | null;
        /** Whether to write a commented starter first if there is no file. */
        readonly writeStarter: boolean;
      }
    | {
        readonly kind: "edit";
        readonly edits: readonly AskedEdit[];
        readonly seenSha256: string | null;
        readonly known: KnownContent | null;
        readonly keepsEntries?: boolean;
      }
    | {
        readonly kind: "replace";
        readonly content: string;
        readonly seenSha256: string | null;
        readonly known: KnownContent | null;
        readonly keepsEntries?: boolean;
      }
    | {
        /** Asks for the mistakes of a layer; `path`: how they name it. */
        readonly kind: "check_layer";
        readonly text: string;
      }
  );

/** An answer of the process. */
export type ApartReply =
  | {
      readonly kind: "loaded";
      readonly loaded: LoadedConfig;
      /** Of the bytes, hexadecimal. */
      readonly sha256: string;
      readonly starterWritten: boolean;
    }
  | {
      readonly kind: "saved";
      readonly saved:
        | {
            readonly ok: true;
            readonly changed: boolean;
            readonly snapshot: ConfigSnapshot;
            readonly content: string;
            readonly before: MountaineerConfig | null;
          }
        | { readonly ok: false; readonly mistakes: readonly ConfigMistake[] };
    }
  | { readonly kind: "checked"; readonly mistakes: readonly ConfigMistake[] }
  | {
      readonly kind: "failed";
      readonly code: ErrorCode;
      readonly message: string;
      readonly hint: string | null;
    };
