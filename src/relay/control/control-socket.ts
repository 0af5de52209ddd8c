// Where the relay listens for daemons: a unix socket that only its owner can reach.
import { rm } from "node:fs/promises";
import type { Server } from "node:net";
import { join } from "node:path";
import { readIfPresent, writeDurably } from "../../runtime/files/durable-file.ts";
import { belongsToOtherHome } from "../../runtime/files/home-marker.ts";
import { listenPrivately } from "../../runtime/process/private-socket.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";

export function relayFolder(home: string): string {
  return join(home, "carrier");
}

/** The path at which the relay of this home listens, or listened last. */
export async function findControlSocket(home: string): Promise<string> {
  return (await recordedPath(home)) ?? usualPath(home);
}

/**
 * Listens at a socket of mode 0600; the caller must hold the relay's lock. If the socket cannot have its
 * usual path, a note in the relay's folder contains its path. Resolves with a function that removes the
 * socket and the note, and never rejects.
 */
export async function listenForControl(server: Server, home: string): Promise<() => Promise<void>> {
  const location = {
    title: "carrier's socket",
    path: usualPath(home),
    workshop: join(relayFolder(home), ".sock"),
  };
  const socket = await listenPrivately(server, location, await recordedPath(home));
  const removeRecord = (): Promise<void> => rm(recordPath(home), { force: true });
  if (socket.path === location.path) await removeRecord();
  else
    await writeDurably(recordPath(home), `${JSON.stringify({ socket: socket.path, home })}\n`, {
      mode: 0o600,
    });
  return async () => {
    await Promise.allSettled([socket[Symbol.asyncDispose](), removeRecord()]);
  };
}

function usualPath(home: string): string {
  return join(relayFolder(home), "control.sock");
}

function recordPath(home: string): string {
  return join(relayFolder(home), "socket.json");
}

/**
 * Returns the path in the note. Returns null if there is no note, or if the note was copied from another home: that
 * home's relay may still listen at the path.
 */
async function recordedPath(home: string): Promise<string | null> {
  const text = await readIfPresent(recordPath(home));
  const { socket, home: recordedHome } = (text === null ? null : jsonObject(text)) ?? {};
  if (typeof socket !== "string") return null;
  return typeof recordedHome !== "string" || (await belongsToOtherHome(recordedHome, home)) ? null : socket;
}
