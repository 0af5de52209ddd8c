// Creates the home's sockets, so that only their owner can ever connect, and says where they are.
import { chmod, lstat, mkdir, mkdtemp, rename, rm, rmdir, unlink } from "node:fs/promises";
import type { Server } from "node:net";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { expecting, MountaineerError, systemErrorCode } from "../../runtime/errors.ts";
import { type DaemonNote, readDaemonNote } from "./daemon-note.ts";

/** The longest path a socket may have on every system (104 with its NUL on macOS), and a little less. */
const SOCKET_PATH_LIMIT = 100;

const SHORT_FOLDER_PREFIX = "mountaineer-";

interface PrivateSocket extends AsyncDisposable {
  readonly path: string;
}

/** One of the home's sockets. */
interface SocketKind {
  /** For people: "management socket". */
  readonly title: string;
  /** Its name in the home. */
  readonly file: string;
  /** A folder in the home where it is made. */
  readonly workshop: string;
  /** Where the daemon that wrote the note had it. */
  readonly noted: (note: DaemonNote) => string | null;
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

/** Where it is unless the home's path is too long, or its file system has no sockets. */
export function defaultSocketPath(home: string, { file }: SocketKind = MANAGEMENT_SOCKET): string {
  return join(home, file);
}

/** Rejects with `path_taken` where `listenPrivately` would: to be known before anything is begun. Changes nothing. */
export async function requireSocketPlace(home: string, kind: SocketKind = MANAGEMENT_SOCKET): Promise<void> {
  const path = defaultSocketPath(home, kind);
  if (Buffer.byteLength(path) <= SOCKET_PATH_LIMIT) await refuseToReplaceWhatIsNoSocket(path, kind);
}

/**
 * Makes `server` listen for this home, 0600. The home's lock must be held: a socket found there is taken for a
 * dead daemon's and replaced. Where the home's path is too long, or its file system has no sockets, it is a short
 * path in a private folder. Disposing removes the socket, if it is still this one, and does not close the server.
 * Rejects with `path_taken`, `home_unwritable`.
 */
export async function listenPrivately(
  server: Server,
  home: string,
  kind: SocketKind = MANAGEMENT_SOCKET,
): Promise<PrivateSocket> {
  await removeLeftOver(home, kind);
  const failures: string[] = [];
  for (const attempt of [listenInHome, ...shortBases().map((base) => listenInShortFolder(base))]) {
    try {
      const socket = await attempt(server, home, kind);
      if (socket !== null) return socket;
    } catch (error) {
      if (systemErrorCode(error) === null || error instanceof MountaineerError) throw error;
      failures.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new MountaineerError("home_unwritable", `no ${kind.title} can be made: ${failures.join("; ")}`, {
    hint: `make ${home} writable, or set MOUNTAINEER_HOME to a folder that is`,
  });
}

/** Null when the path would be too long. */
async function listenInHome(server: Server, home: string, kind: SocketKind): Promise<PrivateSocket | null> {
  const path = defaultSocketPath(home, kind);
  if (Buffer.byteLength(path) > SOCKET_PATH_LIMIT) return null;
  await refuseToReplaceWhatIsNoSocket(path, kind);
  // A socket gets its mode only after it is bound; inside a folder that nobody else can enter that leaves no gap,
  // and the rename replaces a dead daemon's socket in one step. (A umask would hold for every thread.)
  const workshop = join(home, kind.workshop);
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
      const found = await lstat(path).catch(expecting("ENOENT", null));
      if (found === null || found.ino !== own.ino || found.dev !== own.dev) return;
      await unlink(path);
      await afterwards();
    },
  };
}

/** A daemon that was killed leaves its short folder behind; its note says where. */
async function removeLeftOver(home: string, kind: SocketKind): Promise<void> {
  const note = await readDaemonNote(home);
  const path = note === null ? null : kind.noted(note);
  if (path === null || path === defaultSocketPath(home, kind)) return;
  const folder = dirname(path);
  if (basename(path) !== "sock" || !basename(folder).startsWith(SHORT_FOLDER_PREFIX)) return;
  const found = await lstat(folder).catch(expecting("ENOENT", null));
  if (found === null || !found.isDirectory() || found.uid !== process.getuid?.()) return;
  await rm(path, { force: true });
  // Not empty, or gone meanwhile: then it is not ours to remove.
  await rmdir(folder).catch(() => {});
}

async function refuseToReplaceWhatIsNoSocket(path: string, { title }: SocketKind): Promise<void> {
  const found = await lstat(path).catch(expecting("ENOENT", null));
  if (found === null || found.isSocket()) return;
  throw new MountaineerError("path_taken", `${path} is in the way: it is not a socket`, {
    hint: `move it elsewhere; Mountaineer makes its ${title} there`,
  });
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
