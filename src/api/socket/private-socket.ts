// The home's sockets: where each is, and how a daemon listens on it.
import type { Server } from "node:net";
import { join } from "node:path";
import * as privateSocket from "../../runtime/process/private-socket.ts";
import { type DaemonInfo, readDaemonInfo } from "./daemon-info.ts";

interface SocketKind {
  /** The socket's name in texts for people, such as "management socket". */
  readonly title: string;
  /** The socket's file name in the home. */
  readonly file: string;
  /** The temporary folder in the home where the socket is created, before it is moved to its place. */
  readonly workshop: string;
  /** The socket's path in daemon.json; null: the file names none. */
  readonly noted: (note: DaemonInfo) => string | null;
}

const MANAGEMENT_SOCKET: SocketKind = {
  title: "management socket",
  file: "mountaineer.sock",
  workshop: ".sock",
  noted: ({ socket }) => socket,
};

export const MCP_SOCKET: SocketKind = {
  title: "MCP socket",
  file: "mcp.sock",
  workshop: ".mcp-sock",
  noted: ({ mcp_socket }) => mcp_socket ?? null,
};

/** The socket's path, unless the home's path is too long or its file system has no sockets. */
export function defaultSocketPath(home: string, { file }: SocketKind = MANAGEMENT_SOCKET): string {
  return join(home, file);
}

function placeOf(home: string, kind: SocketKind) {
  return {
    title: kind.title,
    path: defaultSocketPath(home, kind),
    workshop: join(home, kind.workshop),
  };
}

/**
 * Checks that a daemon can listen for this home. Rejects with `path_taken` in the cases where
 * `listenPrivately` does. Changes nothing.
 */
export function requireSocketPlace(home: string, kind: SocketKind = MANAGEMENT_SOCKET): Promise<void> {
  return privateSocket.requireSocketLocation(placeOf(home, kind));
}

/** Makes `server` listen on this home's socket of that kind. The caller must hold the home's lock. */
export async function listenPrivately(server: Server, home: string, kind: SocketKind = MANAGEMENT_SOCKET) {
  const note = await readDaemonInfo(home);
  const leftOver = note === null ? null : kind.noted(note);
  return privateSocket.listenPrivately(server, placeOf(home, kind), leftOver);
}
