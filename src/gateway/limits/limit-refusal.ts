// The error by which a limit refuses: which limit it is, how much it allows, and when to come back.
import { errorReply, LIMIT_REACHED, type RpcError } from "../json-rpc.ts";

interface LimitRefusal {
  /** The key, `[limits].calls_per_second`. */
  readonly limit: string;
  readonly allowed: number;
  /** Why, without the key. */
  readonly message: string;
  /** null: coming back does not help. */
  readonly retryAfterMs: number | null;
}

export function limitRefusal(refusal: LimitRefusal): { readonly error: RpcError } {
  const { limit, allowed, message, retryAfterMs } = refusal;
  const again = retryAfterMs === null ? "" : `; try again in ${inSeconds(retryAfterMs)} s`;
  return errorReply(LIMIT_REACHED, `${message} (${limit})${again}`, {
    limit,
    allowed,
    ...(retryAfterMs !== null && { retryAfterMs: Math.ceil(retryAfterMs) }),
  });
}

function inSeconds(ms: number): string {
  return ms < 1_000 ? String(Math.max(0.1, Math.ceil(ms / 100) / 10)) : String(Math.ceil(ms / 1_000));
}

/** `16`, `0.5`, `20.1`. */
export function mebibytes(bytes: number): string {
  return String(Math.round((bytes / 1024 / 1024) * 10) / 10 || Math.round((bytes / 1024 / 1024) * 1e4) / 1e4);
}
