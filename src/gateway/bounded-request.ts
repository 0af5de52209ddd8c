// One HTTP request to another server. Its time and the answer's size are limited; it follows no redirects.
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage, RequestOptions } from "node:http";
import { errorText, systemErrorCode } from "../runtime/errors.ts";
import { GatheredBytes } from "../runtime/text/gathered-bytes.ts";
import type { Clock } from "../runtime/time/clock.ts";
import { userAgent } from "../runtime/version.ts";

const DEADLINE_MS = 10_000;

interface BoundedRequest extends Pick<RequestOptions, "method"> {
  readonly headers?: Readonly<Record<string, string>>;
  readonly address: string;
  readonly body?: string | Uint8Array;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Maximum size of the answer's body, which is read only if the status is 200. 0: no body is read. */
  readonly mostBytes: number;
}

/** `reason` continues a sentence that begins with the address: "did not answer within 10 s". */
export type BoundedAnswer =
  | {
      readonly kind: "answered";
      readonly status: number;
      readonly headers: IncomingHttpHeaders;
      readonly text: string;
    }
  | { readonly kind: "failed"; readonly reason: string }
  /** The request cannot be sent at all: its address or a header is invalid. */
  | { readonly kind: "invalid"; readonly reason: string };

/** Never rejects. Ignores proxies in the environment. */
export function boundedRequest(request: BoundedRequest): Promise<BoundedAnswer> {
  const { address, body, clock, signal, mostBytes, method, headers = {} } = request;
  const { promise, resolve } = Promise.withResolvers<BoundedAnswer>();
  let sent: ClientRequest | null = null;
  const finish = (answer: BoundedAnswer): void => {
    timer[Symbol.dispose]();
    resolve(answer);
    sent?.destroy();
  };
  const fail = (reason: string): void => finish({ kind: "failed", reason });
  const timer = clock.setTimer(DEADLINE_MS, () => fail(`did not answer within ${DEADLINE_MS / 1000} s`));
  try {
    const url = new URL(address);
    const http = process.getBuiltinModule(url.protocol === "https:" ? "node:https" : "node:http");
    const isNamed = Object.keys(headers).some((name) => name.toLowerCase() === "user-agent");
    const named = isNamed ? headers : { ...headers, "user-agent": userAgent() };
    const how = { agent: false, signal, method, headers: named };
    sent = http.request(url, how, (response) => read(response, mostBytes, finish));
    sent.on("error", (error) => fail(signal.aborted ? "is no longer needed" : connectionText(error)));
    sent.end(body);
  } catch (error) {
    finish({ kind: "invalid", reason: `cannot be asked: ${errorText(error)}` });
  }
  return promise;
}

function read(response: IncomingMessage, mostBytes: number, finish: (answer: BoundedAnswer) => void): void {
  const { statusCode: status = 0, headers } = response;
  const answered = (text: string): void => finish({ kind: "answered", status, headers, text });
  const fail = (reason: string): void => finish({ kind: "failed", reason });
  response.on("error", () => fail("broke off"));
  if (status !== 200 || mostBytes === 0) {
    response.resume();
    answered("");
    return;
  }
  const pieces = new GatheredBytes();
  response.on("data", (piece: Buffer) => {
    pieces.push(piece);
    if (pieces.length > mostBytes) fail(`answers more than ${mostBytes / 1024} KiB`);
  });
  response.on("end", () => answered(pieces.take().toString("utf8")));
}

function connectionText(error: unknown): string {
  const code = systemErrorCode(error);
  if (code === "ECONNREFUSED") return "refuses connections";
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return "has an unknown host name";
  return `cannot be reached: ${code ?? errorText(error)}`;
}
