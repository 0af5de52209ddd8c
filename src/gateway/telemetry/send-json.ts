// Sends one JSON document, bounded in time. What is answered is thrown away, save whether it was taken.
import type { ClientRequest } from "node:http";
import { errorText, systemErrorCode } from "../../runtime/errors.ts";
import type { Clock } from "../../runtime/time/clock.ts";

const DEADLINE_MS = 10_000;

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
export function sendJson(
  address: string,
  json: string,
  { headers, clock, signal }: SendOptions,
): Promise<Sent> {
  const { promise, resolve } = Promise.withResolvers<Sent>();
  let request: ClientRequest | null = null;
  const settle = (sent: Sent): void => {
    timer[Symbol.dispose]();
    signal.removeEventListener("abort", leave);
    resolve(sent);
    request?.destroy();
  };
  const later = (reason: string): void => settle({ kind: "later", reason });
  const leave = (): void => later("is asked no more");
  const timer = clock.setTimer(DEADLINE_MS, () => later(`did not answer within ${DEADLINE_MS / 1000} s`));
  signal.addEventListener("abort", leave, { once: true });
  if (signal.aborted) {
    leave();
    return promise;
  }
  try {
    const url = new URL(address);
    const http = process.getBuiltinModule(url.protocol === "https:" ? "node:https" : "node:http");
    const own = { "content-type": "application/json", "content-length": Buffer.byteLength(json) };
    request = http.request(
      url,
      { method: "POST", agent: false, headers: { ...headers, ...own } },
      (response) => {
        const { statusCode = 0 } = response;
        response.resume();
        if (statusCode >= 200 && statusCode < 300) settle({ kind: "taken" });
        else if (RETRYABLE.has(statusCode)) later(`answers ${statusCode}`);
        else settle({ kind: "refused", reason: `answers ${statusCode}` });
      },
    );
    request.on("error", (error) => later(`cannot be reached: ${systemErrorCode(error) ?? errorText(error)}`));
    request.end(json);
  } catch (error) {
    settle({ kind: "refused", reason: `cannot be asked: ${errorText(error)}` });
  }
  return promise;
}

/** Of the OTLP specification. */
const RETRYABLE: ReadonlySet<number> = new Set([429, 502, 503, 504]);
