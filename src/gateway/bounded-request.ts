// One request to another server: bounded in time, given up with its signal, never redirected.
import type { ClientRequest, IncomingMessage, RequestOptions } from "node:http";
import type { Clock } from "../runtime/time/clock.ts";

const DEADLINE_MS = 10_000;

interface BoundedRequest<Result> {
  readonly address: string;
  readonly options: RequestOptions;
  readonly body?: string | Uint8Array;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Without an answer; `reason` goes after an address: "did not answer within 10 s". */
  readonly givenUp: (reason: string) => Result;
  /** The connection failed. */
  readonly failed: (error: unknown) => Result;
  /** It cannot even be begun. */
  readonly refused: (error: unknown) => Result;
  /** Takes the answer, and settles with what it comes to. */
  readonly read: (response: IncomingMessage, settle: (result: Result) => void) => void;
}

/** Never rejects. Proxies in the environment are not looked at. What is settled first counts; the connection ends then. */
export function boundedRequest<Result>(asked: BoundedRequest<Result>): Promise<Result> {
  const { address, options, body, clock, signal, givenUp, failed, refused, read } = asked;
  const { promise, resolve } = Promise.withResolvers<Result>();
  let request: ClientRequest | null = null;
  const settle = (result: Result): void => {
    timer[Symbol.dispose]();
    signal.removeEventListener("abort", leave);
    resolve(result);
    request?.destroy();
  };
  const leave = (): void => settle(givenUp("is asked no more"));
  const timer = clock.setTimer(DEADLINE_MS, () =>
    settle(givenUp(`did not answer within ${DEADLINE_MS / 1000} s`)),
  );
  signal.addEventListener("abort", leave, { once: true });
  if (signal.aborted) {
    leave();
    return promise;
  }
  try {
    const url = new URL(address);
    const http = process.getBuiltinModule(url.protocol === "https:" ? "node:https" : "node:http");
    request = http.request(url, { agent: false, ...options }, (response) => read(response, settle));
    request.on("error", (error) => settle(failed(error)));
    request.end(body);
  } catch (error) {
    settle(refused(error));
  }
  return promise;
}
