// Unix sockets of a home to which only their owner can ever connect.
import { chmod, lstat, mkdir, mkdtemp, rename, rm, rmdir, stat, unlink } from "node:fs/promises";
import { connect, type ListenOptions, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { MountaineerError, recoverFrom, systemErrorCode } from "../errors.ts";
import { userNameOf } from "../files/exposure.ts";

/** The longest socket path that every system takes (104 bytes with its NUL on macOS), with a margin. */
const SOCKET_PATH_LIMIT = 100;
const SHORT_FOLDER_PREFIX = "mountaineer-";
const STICKY = 0o1000;

interface PrivateSocket extends AsyncDisposable {
  readonly path: string;
}

export interface SocketLocation {
  /** The name of the socket in messages: "management socket". */
  readonly title: string;
  /**
   * The path of the socket. A short path in a private folder is used instead if this one is too long, or its
   * file system has no sockets.
   */
  readonly path: string;
  /** A folder in which the socket is made before it is moved to `path`. */
  readonly workshop: string;
}

export function isTooLongForSocket(path: string): boolean {
  return Buffer.byteLength(path) > SOCKET_PATH_LIMIT;
}

/** Rejects with `path_taken` where `listenPrivately` would. Changes nothing. */
export async function requireSocketLocation({ title, path }: SocketLocation): Promise<void> {
  if (isTooLongForSocket(path)) return;
  const found = await lstat(path).catch(recoverFrom("ENOENT", null));
  if (found === null || found.isSocket()) return;
  throw new MountaineerError("path_taken", `${path} is in the way: it is not a socket`, {
    hint: `move it elsewhere; Mountaineer makes its ${title} there`,
  });
}

/**
 * Makes `server` listen on a socket of mode 0600 at `location.path`; if that path cannot be used, at a short path in a private
 * folder. The caller must hold the home's lock, because this replaces an existing socket at `location.path` and removes the
 * one at `stale`, the path that an earlier process recorded. Disposing removes the socket, unless another one is at its
 * path now, and does not close the server. Rejects with `path_taken`, `home_unwritable`.
 */
export async function listenPrivately(
  server: Server,
  location: SocketLocation,
  stale: string | null,
): Promise<PrivateSocket> {
  if (stale !== null && stale !== location.path) await removeStale(stale);
  const failures: string[] = [];
  for (const attempt of [listenInHome, ...shortBases().map((base) => listenInShortFolder(base))]) {
    try {
      const socket = await attempt(server, location);
      if (socket !== null) return socket;
    } catch (error) {
      if (systemErrorCode(error) === null || error instanceof MountaineerError) throw error;
      failures.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new MountaineerError("home_unwritable", `no ${location.title} can be made: ${failures.join("; ")}`, {
    hint: `make ${dirname(location.path)} writable, or set MOUNTAINEER_HOME to a folder that is`,
  });
}

async function listenInHome(server: Server, location: SocketLocation): Promise<PrivateSocket | null> {
  const { path, workshop } = location;
  if (isTooLongForSocket(path)) return null;
  await requireSocketLocation(location);
  // A socket gets its mode only after it is bound, so it is bound in a folder that no other user can enter. The rename
  // replaces a dead process's socket in one step. (A umask would affect every thread.)
  await rm(workshop, { recursive: true, force: true });
  await mkdir(workshop, { mode: 0o700 });
  try {
    await chmod(workshop, 0o700);
    await listen(server, { path: join(workshop, "s") });
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
    if (isTooLongForSocket(join(base, `${SHORT_FOLDER_PREFIX}XXXXXX`, "sock"))) return null;
    const folder = await mkdtemp(join(base, SHORT_FOLDER_PREFIX));
    const path = join(folder, "sock");
    try {
      await listen(server, { path });
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
      const found = await lstat(path).catch(recoverFrom("ENOENT", null));
      if (found === null || found.ino !== own.ino || found.dev !== own.dev) return;
      await unlink(path);
      await afterwards();
    },
  };
}

/** Removes the socket and the short folder that a killed process left behind. */
async function removeStale(path: string): Promise<void> {
  const folder = dirname(path);
  if (basename(path) !== "sock" || !basename(folder).startsWith(SHORT_FOLDER_PREFIX)) return;
  const found = await lstat(folder).catch(recoverFrom("ENOENT", null));
  if (found === null || !found.isDirectory() || found.uid !== process.getuid?.()) return;
  await rm(path, { force: true });
  // A folder that is not empty holds something else, and stays.
  await rmdir(folder).catch(() => {});
}

/** A socket of the daemon of `home`, or of a program that serves its mounts. */
export interface HomeSocket {
  readonly path: string;
  readonly home: string;
}

/** Starts to connect to the socket. Rejects as `requireOwnSocket` does; later errors are the returned socket's. */
export async function connectPrivately(at: HomeSocket, allowHalfOpen = false): Promise<Socket> {
  await requireOwnSocket(at);
  return connect({ path: at.path, allowHalfOpen });
}

/**
 * Rejects with the system's error if there is nothing at the path, and with `daemon_unreachable` if another user may listen
 * there: after a crash, anybody can make a short folder outside of the home again. Trusted are root; the home's owner,
 * because root may run commands in another user's home; and this user, because on some file systems all files belong to
 * one user.
 */
export async function requireOwnSocket({ path, home }: HomeSocket): Promise<void> {
  if (path.startsWith(`${home}/`)) {
    await lstat(path);
    return;
  }
  const folder = dirname(path);
  const [owner, found, above] = await Promise.all([stat(home), lstat(folder), stat(dirname(folder))]);
  const trusted = [0, owner.uid, process.geteuid?.()];
  if (!trusted.includes(found.uid)) throw await notOurs(folder, found);
  if (!found.isDirectory()) throw await notOurs(folder, "is not a folder");
  if ((found.mode & 0o077) !== 0) throw await notOurs(folder, "is open to other users");
  if ((above.mode & STICKY) === 0 && !trusted.includes(above.uid))
    throw await notOurs(dirname(folder), above);
  const socket = await lstat(path);
  if (!trusted.includes(socket.uid)) throw await notOurs(path, socket);
  if (!socket.isSocket()) throw await notOurs(path, "is not a socket");
}

/** Whether something is at the path, and no other user may listen there. */
export function isOwnSocket(at: HomeSocket): Promise<boolean> {
  return requireOwnSocket(at).then(
    () => true,
    () => false,
  );
}

async function notOurs(path: string, why: string | { readonly uid: number }): Promise<MountaineerError> {
  const reason = typeof why === "string" ? why : `belongs to ${await userNameOf(why.uid)}`;
  return new MountaineerError("daemon_unreachable", `${path} ${reason}: Mountaineer is not running`, {
    hint: "mountaineer up",
  });
}

/** Rejects with the system's error. */
export function listen(server: Server, where: ListenOptions & { readonly fd?: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(where, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function stopListening(server: Server): Promise<void> {
  return new Promise((resolve) => {
    if (!server.listening) resolve();
    else server.close(() => resolve());
  });
}
