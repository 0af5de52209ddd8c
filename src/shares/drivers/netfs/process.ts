// Makes each mount in a child process that calls NetFS. When the deadline passes, the child gets a message to cancel
// the mount; it is killed only as the last resort.

import { fileURLToPath } from "node:url";
import { valueOr } from "../../../runtime/errors.ts";
import { ownNode } from "../../../runtime/process/build-copy.ts";
import { runCommand } from "../../../runtime/process/child-process.ts";
import { programBeside } from "../../../runtime/process/program-beside.ts";
import { parseJson } from "../../../runtime/text/parse-json.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import { NETFS_LIBRARIES, type NetfsAnswer, type NetfsLibraries, type NetfsRequest } from "./binding.ts";

export interface NetfsChildRequest {
  readonly libraries: NetfsLibraries;
  readonly request: NetfsRequest;
}

export type NetfsChildAnswer =
  | ({ readonly kind: "called" } & NetfsAnswer)
  /** koffi or NetFS is missing, so this driver cannot mount. */
  | { readonly kind: "unavailable"; readonly text: string }
  | { readonly kind: "failed"; readonly text: string }
  /** The process was asked to end, and macOS cancelled the mount. */
  | { readonly kind: "cancelled" };

export type NetfsOutcome =
  | Exclude<NetfsChildAnswer, { readonly kind: "cancelled" }>
  | { readonly kind: "timed_out"; readonly text: string };

interface NetfsProcessOptions {
  readonly clock: Clock;
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
  /** Default: macOS's own. */
  readonly libraries?: NetfsLibraries;
  /** Added to the child's environment, for tests. */
  readonly env?: Readonly<Record<string, string>>;
}

/** How long macOS may take to cancel a mount, within the deadline. Then the process is killed. */
const CANCEL_MS = 1_500;

const NODE_FLAGS = ["--max-semi-space-size=1", "--max-old-space-size=64", "--no-warnings"];

/**
 * Mounts in a child process. Rejects with `aborted` when the signal ends it, and with `program_unavailable`.
 */
export async function mountByNetfs(
  request: NetfsRequest,
  { clock, deadlineMs, signal, libraries = NETFS_LIBRARIES, env = {} }: NetfsProcessOptions,
): Promise<NetfsOutcome> {
  const question: NetfsChildRequest = { libraries, request };
  const killGraceMs = Math.min(CANCEL_MS, deadlineMs / 2);
  const result = await runCommand(
    ownNode(),
    [...NODE_FLAGS, fileURLToPath(programBeside(import.meta.url, "netfs-child"))],
    {
      clock,
      deadlineMs: deadlineMs - killGraceMs,
      signal,
      env,
      stdin: JSON.stringify(question),
      killGraceMs,
    },
  );
  const answer = parsedAnswer(result.stdout);
  if (answer !== null && answer.kind !== "cancelled") return answer;
  if (result.timedOut || answer !== null) {
    return {
      kind: "timed_out",
      text: `macOS did not mount it within ${Math.round(deadlineMs / 100) / 10} s`,
    };
  }
  const how = result.exitSignal ?? result.exitCode;
  return { kind: "failed", text: `the process that mounts ended with ${how}` };
}

function parsedAnswer(printed: string): NetfsChildAnswer | null {
  // The child is our own program in the same version.
  return valueOr(() => parseJson(printed) as NetfsChildAnswer, null);
}
