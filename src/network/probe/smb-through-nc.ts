// SMB2 NEGOTIATE spoken through macOS's `nc`, for a process that may not open the connection itself.
import { randomFillSync } from "node:crypto";
import { Readable } from "node:stream";
import { errorText } from "../../runtime/errors.ts";
import { type CommandResult, runCommand } from "../../runtime/process/child-process.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { buildNegotiateRequest, CLIENT_GUID_BYTES, createNegotiateReader } from "./smb-negotiate.ts";

/**
 * `negotiated`: the server answers SMB. `connected`: TCP was established, but no SMB answer came. `unreachable`: `nc`
 * could not connect. `unknown`: `nc` is missing, or gave no answer in time.
 */
export type NcFinding =
  /** `serverGuid` as 32 hex digits; null if the answer does not contain it. */
  | { readonly kind: "negotiated"; readonly serverGuid: string | null }
  | { readonly kind: "connected"; readonly detail: string }
  | { readonly kind: "unreachable" }
  | { readonly kind: "unknown"; readonly detail: string };

interface NcRequest {
  readonly clock: Clock;
  readonly nc: string;
  readonly address: string;
  readonly port: number;
  /** Time for the connection and the answer together; then `nc` is killed. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** `nc` takes only whole seconds; `timeoutMs` is what counts. */
const CONNECT_SECONDS = 2;
const IDLE_SECONDS = 2;

/** Never rejects. */
export async function negotiateThroughNc(request: NcRequest): Promise<NcFinding> {
  const { clock, nc, address, port, timeoutMs, signal } = request;
  const reader = createNegotiateReader();
  const { promise: decided, resolve: decide } = Promise.withResolvers<NcFinding>();
  const stop = new AbortController();
  // The input of `nc` stays open until the answer, because some servers hang up when the input ends.
  const question = new Readable({ read() {} });
  question.push(buildNegotiateRequest(randomFillSync(new Uint8Array(CLIENT_GUID_BYTES))));
  const onOutput = (piece: string): void => {
    const answer = reader.push(Buffer.from(piece, "latin1"));
    if (answer.kind === "negotiated") decide({ kind: "negotiated", serverGuid: answer.serverGuid });
    if (answer.kind === "not_smb")
      decide({ kind: "connected", detail: `it does not speak SMB 2: ${answer.detail}` });
  };
  const args = ["-G", String(CONNECT_SECONDS), "-w", String(IDLE_SECONDS), address, String(port)];
  const ended = runCommand(nc, args, {
    clock,
    deadlineMs: timeoutMs,
    killGraceMs: 0,
    stdin: question,
    onStdout: onOutput,
    stdoutEncoding: "latin1",
    signal: AbortSignal.any([signal, stop.signal]),
  }).then(meaningOfEnd, (error: unknown): NcFinding => ({ kind: "unknown", detail: errorText(error) }));
  try {
    return await Promise.race([decided, ended]);
  } finally {
    stop.abort();
    question.destroy();
  }
}

export function meaningOfEnd({
  exitCode,
  timedOut,
}: Pick<CommandResult, "exitCode" | "timedOut">): NcFinding {
  if (timedOut || exitCode === null) return { kind: "unknown", detail: "no answer in time" };
  if (exitCode === 0) return { kind: "connected", detail: "it closed the connection without an answer" };
  return { kind: "unreachable" };
}
