// The port of this machine to which the browser returns after a sign-in: one answer, with the right state, and no more.
import type { IncomingMessage, ServerResponse } from "node:http";
import { errorText, systemErrorCode } from "../../../runtime/errors.ts";
import { failed } from "./bounded-fetch.ts";

const HOST = "127.0.0.1";
const PATH = "/callback";
const LONGEST_ADDRESS = 16 * 1024;

export interface RedirectListener extends AsyncDisposable {
  readonly redirectUri: string;
  /** The address that the browser was sent to with this state. Rejects with the signal's reason. */
  answer(state: string, signal: AbortSignal): Promise<URL>;
}

export function redirectUriAt(port: number): string {
  return `http://${HOST}:${port}${PATH}`;
}

/** The port of a redirect address of ours; null: it is none. */
export function redirectPortOf(redirectUri: string | null): number | null {
  const url = redirectUri === null ? null : URL.parse(redirectUri);
  return url !== null && url.hostname === HOST && url.pathname === PATH ? Number(url.port) : null;
}

/** `port` null: any free one. Rejects with `sign_in_failed` when it is taken. */
export async function listenForRedirect(port: number | null): Promise<RedirectListener> {
  const http = process.getBuiltinModule("node:http");
  let waiting: { readonly state: string; readonly take: (answer: URL) => void } | null = null;
  let base = "";

  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    const url = (request.url ?? "").length > LONGEST_ADDRESS ? null : URL.parse(request.url ?? "", base);
    const isOurs = url !== null && url.pathname === PATH && `http://${request.headers.host}` === base;
    const isAnswer = waiting !== null && url?.searchParams.get("state") === waiting.state;
    if (!isOurs) page(response, 404, "There is nothing here.");
    else if (request.method !== "GET") page(response, 405, "There is nothing here.");
    else if (!isAnswer) page(response, 400, "This is not the answer to the sign-in that is under way.");
    else {
      const taker = waiting;
      waiting = null;
      page(response, 200, "You can close this page and return to the terminal.");
      taker?.take(url);
    }
  };

  const server = http.createServer({ keepAlive: false }, onRequest);
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => {
      const isTaken = systemErrorCode(error) === "EADDRINUSE";
      const why = isTaken ? "something else listens there" : errorText(error);
      reject(failed("later", `cannot wait for the browser at port ${port ?? 0}: ${why}`));
    });
    server.listen(port ?? 0, HOST, resolve);
  });
  const address = server.address();
  base = `http://${HOST}:${typeof address === "object" && address !== null ? address.port : 0}`;

  return {
    redirectUri: base + PATH,
    answer(state, signal) {
      return new Promise((resolve, reject) => {
        const leave = (): void => {
          waiting = null;
          reject(signal.reason);
        };
        if (signal.aborted) {
          leave();
          return;
        }
        signal.addEventListener("abort", leave, { once: true });
        waiting = {
          state,
          take(answer) {
            signal.removeEventListener("abort", leave);
            resolve(answer);
          },
        };
      });
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeIdleConnections();
      // The page is on its way to the browser; nothing else is.
      const limit = setTimeout(() => server.closeAllConnections(), 500);
      await closed;
      clearTimeout(limit);
    },
  };
}

function page(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": "default-src 'none'",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    connection: "close",
  });
  response.end(`<!doctype html><title>Mountaineer</title><p>${text}</p>\n`);
}
