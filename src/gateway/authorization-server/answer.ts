// Answers of the authorization server, and errors that become answers (RFC 6749 5.2, RFC 7591 3.2.2).
import type { OutgoingHttpHeaders, ServerResponse } from "node:http";

export interface Answer {
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  readonly text: string;
}

export class OAuthError extends Error {
  readonly code: string;
  readonly status: number;
  /** The client's own address, with the error; null: the client is not known, or its address is not. */
  readonly back: string | null;

  constructor(code: string, message: string, status = 400, back: string | null = null) {
    super(message);
    this.code = code;
    this.status = status;
    this.back = back;
  }
}

export function jsonAnswer(status: number, body: object): Answer {
  const headers = { "Content-Type": "application/json", "Cache-Control": "no-store", Pragma: "no-cache" };
  return { status, headers, text: JSON.stringify(body) };
}

export function send(response: ServerResponse, { status, headers, text }: Answer): void {
  if (response.headersSent) response.destroy();
  else response.writeHead(status, { ...headers, "Content-Length": Buffer.byteLength(text) }).end(text);
}
