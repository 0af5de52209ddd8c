// Owns where the management socket is and who may open it: its owner alone, from the moment it has a name.
import { chmod, lstat, mkdir, mkdtemp, rename, rm, rmdir, unlink } from "node:fs/promises";
import type { Server } from "node:http";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { MountaineerError, systemErrorCode } from "../runtime/errors.ts";
import { readDaemonNote } from "./daemon-note.ts";

/** The longest path a socket may have on every system (104 with its NUL on macOS), and a little less. */
export const SOCKET_PATH_LIMIT = 100;

const SHORT_FOLDER_PREFIX = "mountaineer-";

export interface PrivateSocket extends AsyncDisposable {
  readonly path: string;
}

export function defaultSocketPath(home: string): string {
  return join(home, "mountaineer.sock");
}

/** Rejects with `path_taken` where `listenPrivately` would: to be known before anything is begun. Changes nothing. */
export async function requireSocketPlace(home: string): Promise<void> {
  const path = defaultSocketPath(home);
  if (Buffer.byteLength(path) <= SOCKET_PATH_LIMIT) await refuseToReplaceWhatIsNoSocket(path);
}

/**
 * Makes `server` listen for this home, 0600. The home's lock must be held: a socket found there is taken for a
 * dead daemon's and replaced. Where the home's path is too long, or its file system has no sockets, it is a short
 * path in a private folder. Disposing removes the socket, if it is still this one, and does not close the server.
 * Rejects with `path_taken`, `home_unwritable`.
 */
export async function listenPrivately(server: Server, home: string): Promise<PrivateSocket> {
  await removeLeftOver(home);
  const failures: string[] = [];
  for (const attempt of [listenInHome, ...shortBases().map((base) => listenInShortFolder(base))]) {
    try {
      const socket = await attempt(server, home);
      if (socket !== null) return socket;
    } catch (error) {
      if (systemErrorCode(error) === null || error instanceof MountaineerError) throw error;
      failures.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new MountaineerError("home_unwritable", `no management socket can be made: ${failures.join("; ")}`, {
    hint: `make ${home} writable, or set MOUNTAINEER_HOME to a folder that is`,
  });
}

/** Null when the path would be too long. */
async function listenInHome(server: Server, home: string): Promise<PrivateSocket | null> {
  const path = defaultSocketPath(home);
  if (Buffer.byteLength(path) > SOCKET_PATH_LIMIT) return null;
  await refuseToReplaceWhatIsNoSocket(path);
  // A socket gets its mode only after it is bound; inside a folder that nobody else can enter that leaves no gap,
  // and the rename replaces a dead daemon's socket in one step. (A umask would hold for every thread.)
  const workshop = join(home, ".sock");
  await rm(workshop, { recursive: true, force: true });
  await mkdir(workshop, { mode: 0o700 });
  try {
    await chmod(workshop, 0o700);
    await listen(server, join(workshop, "s"));
    await chmod(join(workshop, "s"), 0o600);
    await rename(join(workshop, "s"), path);
  } catch (error) {
    await stopListening(server);
    throw error;
  } finally {
    await rm(workshop, { recursive: true, force: true });
  }
  return ownedSocket(path, async () => {});
}

function listenInShortFolder(base: string) {
  return async (server: Server): Promise<PrivateSocket | null> => {
    if (Buffer.byteLength(join(base, `${SHORT_FOLDER_PREFIX}XXXXXX`, "sock")) > SOCKET_PATH_LIMIT)
      return null;
    const folder = await mkdtemp(join(base, SHORT_FOLDER_PREFIX));
    const path = join(folder, "sock");
    try {
      await listen(server, path);
      await chmod(path, 0o600);
    } catch (error) {
      await stopListening(server);
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
    return ownedSocket(path, () => rmdir(folder));
  };
}

function shortBases(): string[] {
  const { XDG_RUNTIME_DIR: runtimeFolder } = process.env;
  const bases = [tmpdir(), "/tmp"];
  if (runtimeFolder?.startsWith("/")) bases.unshift(runtimeFolder);
  return [...new Set(bases)];
}

async function ownedSocket(path: string, afterwards: () => Promise<void>): Promise<PrivateSocket> {
  const own = await lstat(path);
  return {
    path,
    async [Symbol.asyncDispose]() {
      const found = await lstatOrNull(path);
      if (found === null || found.ino !== own.ino || found.dev !== own.dev) return;
      await unlink(path);
      await afterwards();
    },
  };
}

/** A daemon that was killed leaves its short folder behind; its note says where. */
async function removeLeftOver(home: string): Promise<void> {
  const note = await readDaemonNote(home);
  if (note === null || note.socket === defaultSocketPath(home)) return;
  const folder = dirname(note.socket);
  if (basename(note.socket) !== "sock" || !basename(folder).startsWith(SHORT_FOLDER_PREFIX)) return;
  const found = await lstatOrNull(folder);
  if (found === null || !found.isDirectory() || found.uid !== process.getuid?.()) return;
  await rm(note.socket, { force: true });
  // Not empty, or gone meanwhile: then it is not ours to remove.
  await rmdir(folder).catch(() => {});
}

async function refuseToReplaceWhatIsNoSocket(path: string): Promise<void> {
  const found = await lstatOrNull(path);
  if (found === null || found.isSocket()) return;
  throw new MountaineerError("path_taken", `${path} is in the way: it is not a socket`, {
    hint: "move it elsewhere; Mountaineer makes its management socket there",
  });
}

async function lstatOrNull(path: string) {
  try {
    return await lstat(path);
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return null;
    throw error;
  }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: Error): void => {
      server.removeListener("listening", onListening);
      reject(error);
    };
    const onListening = (): void => {
      server.removeListener("error", onError);
      resolve();
    };
    server.once("error", onError);
    server.once("listening", onListening);
    server.listen(path);
  });
}

function stopListening(server: Server): Promise<void> {
  return new Promise((resolve) => {
    if (!server.listening) resolve();
    else server.close(() => resolve());
  });
}
