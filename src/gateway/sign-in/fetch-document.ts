// Reads one JSON document from an authorization server: bounded in time and size, never redirected.
import type { IncomingMessage } from "node:http";
import { errorText, systemErrorCode } from "../../runtime/errors.ts";
import { type JsonMembers, jsonObject } from "../../runtime/text/json-object.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { boundedRequest } from "../bounded-request.ts";

const LARGEST_BYTES = 256 * 1024;

type Fetched =
  | {
      readonly ok: true;
      readonly document: JsonMembers;
      /** How long its server says it is good for; null: it does not. */
      readonly maxAgeMs: number | null;
    }
  /** `reason` goes after an address: "answers 500". */
  | { readonly ok: false; readonly reason: string };

interface FetchOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Never rejects. Proxies in the environment are not looked at. */
export function fetchDocument(address: string, { clock, signal }: FetchOptions): Promise<Fetched> {
  return boundedRequest<Fetched>({
    address,
    options: { headers: { accept: "application/json", "accept-encoding": "identity" } },
    clock,
    signal,
    givenUp: (reason) => ({ ok: false, reason }),
    failed: (error) => ({ ok: false, reason: reachText(error) }),
    refused: (error) => ({ ok: false, reason: errorText(error) }),
    read,
  });
}

function read(response: IncomingMessage, settle: (fetched: Fetched) => void): void {
  const { statusCode = 0, headers } = response;
  const fail = (reason: string): void => settle({ ok: false, reason });
  response.on("error", () => fail("broke off"));
  if (statusCode >= 300 && statusCode < 400) {
    fail(`redirects elsewhere (${statusCode}), and that is not followed`);
    return;
  }
  if (statusCode !== 200) {
    fail(`answers ${statusCode}`);
    return;
  }
  const chunks: Buffer[] = [];
  let size = 0;
  response.on("data", (chunk: Buffer) => {
    size += chunk.length;
    if (size > LARGEST_BYTES) fail(`answers more than ${LARGEST_BYTES / 1024} KiB`);
    else chunks.push(chunk);
  });
  response.on("end", () => {
    const document = jsonObject(Buffer.concat(chunks).toString("utf8"));
    if (document === null) fail("answers something other than a JSON object");
    else settle({ ok: true, document, maxAgeMs: maxAgeOf(headers["cache-control"]) });
  });
  response.on("close", () => fail("broke off"));
}

function maxAgeOf(header: string | undefined): number | null {
  const seconds = /(?:^|[\s,])max-age=(\d{1,9})(?:[\s,]|$)/i.exec(header ?? "")?.[1];
  return seconds === undefined ? null : Number(seconds) * 1000;
}

function reachText(error: unknown): string {
  const code = systemErrorCode(error);
  if (code === "ECONNREFUSED") return "refuses connections";
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return "has a name that is not known";
  return `cannot be reached: ${errorText(error)}`;
}
