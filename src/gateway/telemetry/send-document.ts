// Sends one document, bounded in time. What is answered is thrown away, save whether it was taken.
import { errorText, systemErrorCode } from "../../runtime/errors.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { boundedRequest } from "../bounded-request.ts";
import type { EncodedDocument } from "./otlp-encoding.ts";

export type Sent =
  | { readonly kind: "taken" }
  /** The same again may be taken later. `reason` goes after an address: "answers 503". */
  | { readonly kind: "later"; readonly reason: string }
  | { readonly kind: "refused"; readonly reason: string };

interface SendOptions {
  readonly headers: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Never rejects. Redirects are not followed. */
export function sendDocument(
  address: string,
  { type, bytes }: EncodedDocument,
  { headers, clock, signal }: SendOptions,
): Promise<Sent> {
  const own = { "content-type": type, "content-length": bytes.byteLength };
  const later = (reason: string): Sent => ({ kind: "later", reason });
  return boundedRequest<Sent>({
    address,
    options: { method: "POST", headers: { ...headers, ...own } },
    body: bytes,
    clock,
    signal,
    givenUp: later,
    failed: (error) => later(`cannot be reached: ${systemErrorCode(error) ?? errorText(error)}`),
    refused: (error) => ({ kind: "refused", reason: `cannot be asked: ${errorText(error)}` }),
    read(response, settle) {
      const { statusCode = 0 } = response;
      response.resume();
      if (statusCode >= 200 && statusCode < 300) settle({ kind: "taken" });
      else if (RETRYABLE.has(statusCode)) settle(later(`answers ${statusCode}`));
      else settle({ kind: "refused", reason: `answers ${statusCode}` });
    },
  });
}

/** Of the OTLP specification. */
const RETRYABLE: ReadonlySet<number> = new Set([429, 502, 503, 504]);
