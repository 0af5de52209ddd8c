// Sessions that a server may still hold, because the reset of their connection was lost with the cable.
import { Socket } from "node:net";
import { connectOptions } from "../../network/probe/host-probe.ts";
import { resetSocket } from "../../runtime/reset-socket.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { RouteEndpoint } from "../relay.ts";

const RETAINED_AT_MOST = 64;
const CONNECT_WITHIN_MS = 2_000;

/** The addresses of a connection to a server. */
export interface CutOff extends RouteEndpoint {
  readonly localPort: number;
}

export function ownEndOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): CutOff | null {
  if (remoteAddress === undefined || remotePort === undefined || localPort === undefined) return null;
  return { address: remoteAddress, port: remotePort, localAddress: localAddress ?? null, localPort };
}

/**
 * A session whose connection is lost can keep files open for hours; other connections cannot replace or delete these
 * files until then. A new connection from the same port ends the session at once: the server answers with the sequence
 * number that it expects, and this machine replies with a reset (RFC 9293, 3.5.1; RFC 5961, 4.2).
 */
export function createCutOffSessions(clock: Clock) {
  const sessions: CutOff[] = [];

  const end = (one: CutOff): void => {
    const socket = new Socket();
    const over = (): void => {
      timer[Symbol.dispose]();
      resetSocket(socket);
    };
    const timer = clock.setTimer(CONNECT_WITHIN_MS, over);
    // The connect fails if another socket has since taken the port. The server then ends that session itself.
    socket.on("error", over);
    socket.once("connect", over);
    socket.connect({ ...connectOptions(one), localPort: one.localPort });
  };

  return {
    /** Remembers a connection whose reset may not have arrived; null: does nothing. */
    keep(connection: CutOff | null): void {
      if (connection === null) return;
      sessions.push(connection);
      if (sessions.length > RETAINED_AT_MOST) sessions.shift();
    },
    /** Ends the remembered sessions at this endpoint; call it when the server there answers. */
    endAt({ address, port }: RouteEndpoint): void {
      const isThere = (one: CutOff): boolean => one.address === address && one.port === port;
      for (const one of sessions.filter(isThere)) {
        sessions.splice(sessions.indexOf(one), 1);
        end(one);
      }
    },
  };
}
