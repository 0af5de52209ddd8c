// Owns reading a configuration in a process of its own: a hostile file holds up nobody, and what reading needs
// (the schema library, parsers) does not stay in the daemon's memory.
import { fileURLToPath } from "node:url";
import { runCommand } from "../runtime/child-process.ts";
import type { Clock } from "../runtime/clock.ts";
import { type ErrorCode, MountaineerError } from "../runtime/errors.ts";
import type { LoadedConfig } from "./load.ts";
import type { ConfigPlace } from "./locate.ts";
import { deepFreeze } from "./snapshot.ts";

/** Far more than the largest file needs, ms. */
const LOAD_DEADLINE_MS = 10_000;
const MEMORY_LIMIT_MB = 256;
/** An accepted file is at most 1 MiB; its snapshot, and 200 mistakes, are of that order. */
const ANSWER_LIMIT_BYTES = 16 * 1024 * 1024;

export interface ApartRequest {
  /** Absolute. */
  readonly path: string;
  readonly place: ConfigPlace;
  /** What to read in the file's stead, in base64; null reads the file; "" is an empty configuration. */
  readonly content: string | null;
  /** Write a commented starter first when there is no file. */
  readonly writeStarter: boolean;
}

/** What the process answers. */
export type ApartReply =
  | { readonly kind: "loaded"; readonly loaded: LoadedConfig; readonly starterWritten: boolean }
  | {
      readonly kind: "failed";
      readonly code: ErrorCode;
      readonly message: string;
      readonly hint: string | null;
    };

export interface LoadedApart {
  readonly loaded: LoadedConfig;
  readonly starterWritten: boolean;
}

/**
 * Rejects with `config_unreadable` (the file cannot be read, or reading it takes longer than 10 s or more memory
 * than 256 MB), `home_unwritable` (the starter), and the signal's reason.
 */
export async function loadConfigApart(
  request: ApartRequest,
  { clock, signal }: { clock: Clock; signal?: AbortSignal },
): Promise<LoadedApart> {
  const reply = await askChild(request, clock, signal);
  if (reply.kind === "failed") {
    throw new MountaineerError(reply.code, reply.message, reply.hint === null ? {} : { hint: reply.hint });
  }
  const { loaded, starterWritten } = reply;
  return { loaded: loaded.ok ? { ok: true, snapshot: deepFreeze(loaded.snapshot) } : loaded, starterWritten };
}

async function askChild(
  request: ApartRequest,
  clock: Clock,
  signal: AbortSignal | undefined,
): Promise<ApartReply> {
  const { exitCode, exitSignal, stdout, stderr, timedOut } = await runCommand(
    process.execPath,
    [`--max-old-space-size=${MEMORY_LIMIT_MB}`, childProgram()],
    {
      clock,
      deadlineMs: LOAD_DEADLINE_MS,
      stdin: JSON.stringify(request),
      maxOutputBytes: ANSWER_LIMIT_BYTES,
      killGraceMs: 0,
      ...(signal === undefined ? {} : { signal }),
    },
  );
  // Written by load-child.ts, which is the other half of this file.
  if (exitCode === 0) return JSON.parse(stdout) as ApartReply;
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
