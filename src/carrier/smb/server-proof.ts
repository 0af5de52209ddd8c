// Asks a server over a route with an SMB2 NEGOTIATE of the carrier's own: does it answer, and which server is it?
import { randomFillSync } from "node:crypto";
import { Socket, type TcpSocketConnectOpts } from "node:net";
import {
  buildNegotiateRequest,
  CLIENT_GUID_BYTES,
  createNegotiateReader,
} from "../../network/probe/smb-negotiate.ts";
import { errorText, systemErrorCode } from "../../runtime/errors.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { RouteEndpoint } from "../carrier.ts";

export type ServerProof =
  /** `guid`: the ServerGuid, in hex. It alone does not prove that two servers are one. */
  | { readonly ok: true; readonly guid: string }
  /** `refused`: certain at once, as no route or nobody listening. `silent`: anything else. */
  | { readonly ok: false; readonly reason: "refused" | "silent"; readonly text: string };

export type ProveServer = (endpoint: RouteEndpoint, timeoutMs: number) => Promise<ServerProof>;

const REFUSALS = new Set([
  "ECONNREFUSED",
  "ENETUNREACH",
  "EHOSTUNREACH",
  "EHOSTDOWN",
  "ENETDOWN",
  "ENODEV",
  "EADDRNOTAVAIL",
  "EAFNOSUPPORT",
  "EINVAL",
]);

/** Where a socket of the carrier's own connects to, and from where. */
export function connectOptions({ address, port, localAddress }: RouteEndpoint): TcpSocketConnectOpts {
  return { host: address, port, ...(localAddress === null ? {} : { localAddress }) };
}

/** `timeoutMs` covers connect and answer. Never rejects; the socket is always ended. */
export function createServerProof(clock: Clock): ProveServer {
  return (endpoint, timeoutMs) => {
    const { promise, resolve } = Promise.withResolvers<ServerProof>();
    const where = `${endpoint.address} port ${endpoint.port}`;
    const reader = createNegotiateReader();
    let connected = false;
    const end = (proof: ServerProof): void => {
      deadline[Symbol.dispose]();
      // A reset leaves no TIME_WAIT; a socket that connects would put it off until it has connected.
      if (connected) socket.resetAndDestroy();
      else socket.destroy();
      resolve(proof);
    };
    const silent = (text: string): void => end({ ok: false, reason: "silent", text });
    const fail = (error: unknown): void => {
      const refused = !connected && REFUSALS.has(systemErrorCode(error) ?? "");
      end({ ok: false, reason: refused ? "refused" : "silent", text: errorText(error) });
    };
    // In a process that was held up, an answer may wait to be read; timers come before it.
    const deadline = clock.setTimer(
      timeoutMs,
      () => void setImmediate(() => silent(`${where} gave no answer to SMB2 NEGOTIATE in ${timeoutMs} ms`)),
    );
    const socket = new Socket();
    socket.on("connect", () => {
      connected = true;
      socket.write(buildNegotiateRequest(randomFillSync(new Uint8Array(CLIENT_GUID_BYTES))));
    });
    socket.on("data", (chunk: Buffer) => {
      const answer = reader.push(chunk);
      if (answer.kind === "not_smb") silent(`${where} does not speak SMB 2: ${answer.detail}`);
      else if (answer.kind === "negotiated" && answer.serverGuid !== null)
        end({ ok: true, guid: answer.serverGuid });
    });
    socket.on("end", () => silent(`${where} closed the connection unasked`));
    socket.on("error", fail);
    socket.on("close", () => silent(`${where} closed the connection unasked`));
    try {
      socket.connect(connectOptions(endpoint));
    } catch (error) {
      fail(error);
    }
    return promise;
  };
}
