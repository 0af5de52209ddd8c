// Where the carrier listens for the daemon: a unix socket that only its owner can reach.
import { chmod, lstat, mkdtemp, rename, rm, rmdir, unlink } from "node:fs/promises";
import type { ListenOptions, Server } from "node:net";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { readIfPresent, writeDurably } from "../../runtime/files/durable-file.ts";

import { jsonObject } from "../../runtime/text/json-object.ts";

/** The longest path a socket may have on every system (104 with its NUL on macOS), and a little less. */
const SOCKET_PATH_LIMIT = 100;
const SHORT_FOLDER_PREFIX = "mountaineer-carrier-";

export function carrierFolder(home: string): string {
  return join(home, "carrier");
}

/** Where the carrier of this home listens, or did; a path that is too long is kept in a note. */
export async function findControlSocket(home: string): Promise<string> {
  const usual = usualPath(home);
  if (Buffer.byteLength(usual) <= SOCKET_PATH_LIMIT) return usual;
  return (await notedPath(home)) ?? usual;
}

/**
 * Listens, 0600. The carrier's lock must be held: a socket that is found there is a dead carrier's, and is replaced.
 * Resolves with a function that removes it.
 */
export async function listenForControl(server: Server, home: string): Promise<() => Promise<void>> {
  const path = usualPath(home);
  if (Buffer.byteLength(path) > SOCKET_PATH_LIMIT) return listenInShortFolder(server, home);
  // Bound under another name first and then renamed, so that the final name always leads to a socket with the right
  // mode.
  const first = join(carrierFolder(home), `.s${process.pid}`);
  await rm(first, { force: true });
  await listen(server, { path: first });
  await chmod(first, 0o600);
  await rename(first, path);
  return removalOf(path);
}

async function listenInShortFolder(server: Server, home: string): Promise<() => Promise<void>> {
  await removeNoted(home);
  const base = [process.env["XDG_RUNTIME_DIR"], tmpdir(), "/tmp"].find(
    (one) =>
      one?.startsWith("/") &&
      Buffer.byteLength(join(one, `${SHORT_FOLDER_PREFIX}XXXXXX`, "sock")) <= SOCKET_PATH_LIMIT,
  );
  const folder = await mkdtemp(join(base ?? "/tmp", SHORT_FOLDER_PREFIX));
  const path = join(folder, "sock");
  await listen(server, { path });
  await chmod(path, 0o600);
  await writeDurably(notePath(home), `${JSON.stringify({ socket: path })}\n`, { mode: 0o600 });
  const remove = await removalOf(path);
  return async () => {
    await remove();
    await rmdir(folder).catch(() => {});
    await rm(notePath(home), { force: true });
  };
}

function usualPath(home: string): string {
  return join(carrierFolder(home), "control.sock");
}

function notePath(home: string): string {
  return join(carrierFolder(home), "socket.json");
}

async function notedPath(home: string): Promise<string | null> {
  const text = await readIfPresent(notePath(home));
  const { socket } = (text === null ? null : jsonObject(text)) ?? {};
  return typeof socket === "string" ? socket : null;
}

/** A carrier that was killed leaves its short folder behind. */
async function removeNoted(home: string): Promise<void> {
  const path = await notedPath(home);
  if (path === null || basename(path) !== "sock") return;
  const folder = dirname(path);
  if (!basename(folder).startsWith(SHORT_FOLDER_PREFIX)) return;
  const found = await lstat(folder).catch(() => null);
  if (found === null || !found.isDirectory() || found.uid !== process.getuid?.()) return;
  await rm(path, { force: true });
  await rmdir(folder).catch(() => {});
}

/** Removes the socket only if it is still this one. */
async function removalOf(path: string): Promise<() => Promise<void>> {
  const own = await lstat(path);
  return async () => {
    const found = await lstat(path).catch(() => null);
    if (found?.ino === own.ino && found.dev === own.dev) await unlink(path).catch(() => {});
  };
}

/** Rejects with the system's error. */
export function listen(server: Server, where: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(where, () => {
      server.off("error", reject);
      resolve();
    });
  });
}
