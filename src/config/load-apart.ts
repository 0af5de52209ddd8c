// Owns reading and editing a configuration in a process of its own: a hostile file holds up nobody, and what that
// needs (the schema library, parsers) does not stay in the daemon's memory.
import { fileURLToPath } from "node:url";
import { runCommand } from "../runtime/child-process.ts";
import type { Clock } from "../runtime/clock.ts";
import { type ErrorCode, MountaineerError } from "../runtime/errors.ts";
import type { LoadedConfig } from "./load.ts";
import type { ConfigPlace } from "./locate.ts";
import type { ConfigMistake } from "./mistakes.ts";
import type { KnownContent } from "./save.ts";
import { type ConfigSnapshot, deepFreeze } from "./snapshot.ts";

/** Far more than the largest file needs, ms. */
const DEADLINE_MS = 10_000;
const MEMORY_LIMIT_MB = 256;
/** An accepted file is at most 512 KiB; its snapshot, and 200 mistakes, are of that order. */
const ANSWER_LIMIT_BYTES = 16 * 1024 * 1024;

interface Subject {
  /** Absolute. */
  readonly path: string;
  readonly place: ConfigPlace;
}

/** What the process is asked. Bytes travel in base64. */
export type ApartRequest = Subject &
  (
    | {
        readonly kind: "load";
        /** What to read in the file's stead; null reads the file; "" is an empty configuration. */
        readonly content: string | null;
        /** Write a commented starter first when there is no file. */
        readonly writeStarter: boolean;
      }
    | {
        readonly kind: "edit";
        /** `value` is TOML, else taken as a string; null unsets the key. */
        readonly edits: readonly { readonly key: string; readonly value: string | null }[];
        readonly seenSha256: string | null;
        readonly known: KnownContent | null;
      }
    | {
        readonly kind: "replace";
        readonly content: string;
        readonly seenSha256: string | null;
        readonly known: KnownContent | null;
      }
  );

/** What the process answers. */
export type ApartReply =
  | { readonly kind: "loaded"; readonly loaded: LoadedConfig; readonly starterWritten: boolean }
  | {
      readonly kind: "saved";
      readonly saved:
        | {
            readonly ok: true;
            readonly changed: boolean;
            readonly snapshot: ConfigSnapshot;
            readonly content: string;
          }
        | { readonly ok: false; readonly mistakes: readonly ConfigMistake[] };
    }
  | {
      readonly kind: "failed";
      readonly code: ErrorCode;
      readonly message: string;
      readonly hint: string | null;
    };

export interface ApartOptions {
  readonly clock: Clock;
  readonly signal?: AbortSignal;
}

export interface LoadedApart {
  readonly loaded: LoadedConfig;
  readonly starterWritten: boolean;
}

/**
 * Rejects with `config_unreadable` (the file cannot be read, or reading it takes longer than 10 s or more memory
 * than 256 MB), `home_unwritable` (the starter), and `aborted`.
 */
export async function loadConfigApart(
  request: Omit<Extract<ApartRequest, { kind: "load" }>, "kind">,
  options: ApartOptions,
): Promise<LoadedApart> {
  const reply = await ask({ kind: "load", ...request }, options);
  if (reply.kind !== "loaded") throw unexpected(request.path);
  const { loaded, starterWritten } = reply;
  return { loaded: loaded.ok ? { ok: true, snapshot: deepFreeze(loaded.snapshot) } : loaded, starterWritten };
}

export type SavedApart =
  | {
      readonly ok: true;
      readonly changed: boolean;
      readonly snapshot: ConfigSnapshot;
      readonly bytes: Uint8Array;
    }
  | { readonly ok: false; readonly mistakes: readonly ConfigMistake[] };

/** Rejects with what `saveEdit` rejects with, `usage` for a key or value that is not understood, and `aborted`. */
export async function saveConfigApart(
  request: Extract<ApartRequest, { kind: "edit" | "replace" }>,
  options: ApartOptions,
): Promise<SavedApart> {
  const reply = await ask(request, options);
  if (reply.kind !== "saved") throw unexpected(request.path);
  const { saved } = reply;
  if (!saved.ok) return saved;
  const { changed, snapshot, content } = saved;
  return { ok: true, changed, snapshot: deepFreeze(snapshot), bytes: Buffer.from(content, "base64") };
}

function unexpected(path: string): MountaineerError {
  return new MountaineerError("internal", `${path}: the reader answered something else than was asked`);
}

async function ask(request: ApartRequest, { clock, signal }: ApartOptions): Promise<ApartReply> {
  const { exitCode, exitSignal, stdout, stderr, timedOut } = await runCommand(
    process.execPath,
    [`--max-old-space-size=${MEMORY_LIMIT_MB}`, childProgram()],
    {
      clock,
      deadlineMs: DEADLINE_MS,
      stdin: JSON.stringify(request),
      maxOutputBytes: ANSWER_LIMIT_BYTES,
      killGraceMs: 0,
      ...(signal === undefined ? {} : { signal }),
    },
  );
  if (exitCode === 0) {
    // Written by load-child.ts, which is the other half of this file.
    const reply = JSON.parse(stdout) as ApartReply;
    if (reply.kind !== "failed") return reply;
    throw new MountaineerError(reply.code, reply.message, reply.hint === null ? {} : { hint: reply.hint });
  }
  const why = timedOut
    ? "reading it takes too long"
    : `its reader ended with ${exitSignal ?? exitCode}: ${stderr.trim().split("\n").at(-1) ?? ""}`;
  throw new MountaineerError("config_unreadable", `${request.path} cannot be read: ${why}`);
}

/** The compiler rewrites import paths, not strings: the published program is `.js`, the checkout's `.ts`. */
function childProgram(): string {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  return fileURLToPath(new URL(`./load-child.${extension}`, import.meta.url));
}
