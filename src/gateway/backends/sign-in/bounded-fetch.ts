// Fetches for signing in: no redirects, a deadline, a bound on the size, and only addresses that are allowed.
import { MountaineerError } from "../../../runtime/errors.ts";
import { harmless } from "../../../runtime/text/plain-text.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import { connectReason } from "../links/http/connect-reason.ts";
import { allowedAddress } from "./addresses.ts";

const DEADLINE_MS = 15_000;
const LONGEST_BYTES = 512 * 1024;
/** A body that is no answer of an OAuth server is not shown. */
const NO_BODY: ReadonlySet<number> = new Set([204, 205, 304]);

interface FetchOptions {
  readonly method: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | URLSearchParams | undefined;
  /** Of the response: nothing of its body is read. */
  readonly isBodyLeft?: boolean;
}

/** The whole response, its body read. Rejects with `sign_in_failed` (`retry` "later" where it may pass) and `aborted`. */
export type BoundedFetch = (address: string, options: FetchOptions) => Promise<Response>;

/** `server`: whom one signs in to; it decides which addresses are allowed. */
export function createBoundedFetch({
  server,
  clock,
  signal,
}: {
  readonly server: URL;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}): BoundedFetch {
  return async (address, { method, headers = {}, body, isBodyLeft = false }) => {
    const url = allowedAddress(address, server);
    if (url === null) {
      throw failed("never", `${shownAddress(address)} is no address to sign in at: it must be https`);
    }
    const limit = new AbortController();
    const timer = clock.setTimer(DEADLINE_MS, () => limit.abort(late(url)));
    try {
      const response = await fetch(url, {
        method,
        headers: { ...headers, "accept-encoding": "identity" },
        redirect: "manual",
        signal: AbortSignal.any([signal, limit.signal]),
        ...(body === undefined ? {} : { body }),
      });
      const { status } = response;
      if (status >= 300 && status < 400 && status !== 304) {
        await response.body?.cancel();
        throw failed("never", `${url.origin} redirects (HTTP ${status}), which is not followed`);
      }
      if (isBodyLeft) await response.body?.cancel();
      const bytes = isBodyLeft || NO_BODY.has(status) ? null : await boundedBody(response, url);
      return new Response(bytes, { status, headers: response.headers });
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof MountaineerError) throw error;
      const { text, hint } = connectReason(
        error instanceof Error && error.cause !== undefined ? error.cause : error,
      );
      throw failed("later", `cannot reach ${url.origin}: ${text}`, hint);
    } finally {
      timer[Symbol.dispose]();
    }
  };
}

async function boundedBody(response: Response, url: URL): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > LONGEST_BYTES)
      throw failed("never", `${url.origin} answers with more than ${LONGEST_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes);
}

/** Without a query, which may hold a secret. */
export function shownAddress(address: string): string {
  const url = URL.parse(address);
  const text = url === null ? address.slice(0, 200) : url.origin + url.pathname;
  return harmless(text.slice(0, 500));
}

function late({ origin }: URL): MountaineerError {
  return failed("later", `${origin} gave no answer within ${DEADLINE_MS / 1000} s`);
}

export function failed(
  retry: "later" | "never",
  message: string,
  hint?: string,
  cause?: unknown,
): MountaineerError {
  return new MountaineerError("sign_in_failed", message, {
    retry,
    ...(hint === undefined ? {} : { hint }),
    ...(cause === undefined ? {} : { cause }),
  });
}
