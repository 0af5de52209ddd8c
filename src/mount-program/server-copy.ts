// Copies files and folders at the server, within a share or between two of one server and login: the mountaineer-fs that holds the share of
// the source asks for it. The file to fill was made through the other share's mount, under a name that no other server has.
import { randomUUID } from "node:crypto";
import {
  lstat,
  mkdir,
  open,
  readdir,
  readlink,
  realpath,
  rename,
  rm,
  stat,
  symlink,
  utimes,
} from "node:fs/promises";
import { basename, dirname, join, relative, resolve } from "node:path";
import { MountaineerError, recoverFrom } from "../runtime/errors.ts";
import { readIfPresent } from "../runtime/files/durable-file.ts";
import { number, object, optional, reader, text } from "../runtime/shape.ts";
import { jsonObject } from "../runtime/text/json-object.ts";
import { shellCommand } from "../runtime/text/plain-text.ts";
import { systemClock } from "../runtime/time/clock.ts";
import { connectProgram, type ProgramConnection } from "./program-connection.ts";
import { mountOf } from "./versions.ts";

interface ServerCopy {
  readonly from: string;
  /** Where to; a present folder: into it. */
  readonly to: string;
  readonly force: boolean;
  readonly home: string;
  readonly signal: AbortSignal;
  /** Called after each part with the bytes of all files so far. */
  readonly onProgress: (bytes: number, path: string) => void;
}

/** A request copies a part of a file; the program waits for a lost server longer than that. */
const PART_WITHIN_MS = 24 * 3_600_000;

const NAME_CHARACTERS_AT_MOST = 40;

const runningOf = reader(object({ mounted: text, socket: text }));
const statusOf = reader(object({ status: object({ share: text, characters: optional(text) }) }));
const copiedOf = reader(object({ copied: number, size: number, modified_at: number }));

/** Resolves with the path of the copy, and its bytes. */
export async function copyAtServer(copy: ServerCopy): Promise<{ readonly path: string; bytes: number }> {
  const { home, force, signal, onProgress } = copy;
  const from = await realpath(copy.from);
  const isInto = await stat(copy.to).then((stats) => stats.isDirectory(), recoverFrom("ENOENT", false));
  const to = isInto ? join(resolve(copy.to), basename(from)) : resolve(copy.to);
  const target = await mountOf(to);
  const source = await mountOf(from);
  const otherwise = { hint: `copy the bytes: ${shellCommand`cp -R ${copy.from} ${copy.to}`}` };
  using program = await programAt(source.root, home, otherwise);
  using other = await programAt(target.root, home, otherwise);
  const into = await shareOf(other);
  signal.addEventListener("abort", () => program[Symbol.dispose](), { once: true });
  let bytes = 0;
  const fill = async (path: string, made: string): Promise<void> => {
    await (await open(made, "wx")).close();
    const paths = {
      from: relative(source.root, path),
      to: join(dirname(target.inside), relative(dirname(to), made)),
    };
    for (let offset = 0, isWhole = false, before = ""; !isWhole; ) {
      const answer = await program.request("copy", { ...paths, ...into, offset }, PART_WITHIN_MS);
      signal.throwIfAborted();
      const part = answer.ok ? copiedOf(answer.members) : null;
      if (part === null)
        throw new MountaineerError(
          "program_refused",
          `${path} cannot be copied at the server: ${answer.ok ? "no answer" : answer.text}`,
          otherwise,
        );
      const now = `${part.size} ${part.modified_at}`;
      if (before !== "" && now !== before)
        throw new MountaineerError("path_unknown", `${path} changed while it was copied`, { retry: "now" });
      before = now;
      offset += part.copied;
      bytes += part.copied;
      isWhole = offset >= part.size;
      onProgress(bytes, path);
    }
  };
  const copyTo = async (path: string, made: string): Promise<void> => {
    const stats = await lstat(path);
    if (stats.isSymbolicLink()) return symlink(await readlink(path), made);
    if (!stats.isDirectory()) await fill(path, made);
    else {
      await mkdir(made);
      for (const name of await readdir(path)) await copyTo(join(path, name), join(made, name));
    }
    await utimes(made, stats.atime, stats.mtime);
  };
  const isFolder = (await stat(from)).isDirectory();
  if (isFolder && !relative(from, join(target.root, target.inside)).startsWith(".."))
    throw new MountaineerError("path_taken", `${to} lies in ${from}`);
  await makeThenMove({ to, force, isFolder }, (made) => copyTo(from, made));
  return { path: to, bytes };
}

/** The program that has mounted a share there. */
async function programAt(
  root: string,
  home: string,
  otherwise: { readonly hint: string },
): Promise<ProgramConnection> {
  const mounts = join(home, "mounts");
  for (const folder of await readdir(mounts).catch(recoverFrom("ENOENT", []))) {
    const running = runningOf(jsonObject((await readIfPresent(join(mounts, folder, "program.json"))) ?? ""));
    if (running?.mounted !== root) continue;
    return connectProgram({ path: running.socket, home }, systemClock, { onStatus() {}, onEnd() {} });
  }
  throw new MountaineerError(
    "path_unknown",
    `${root} is not a share that mountaineer-fs has mounted`,
    otherwise,
  );
}

/** A share, and by which characters its names are written: an older program says nothing, and has the first ones. */
async function shareOf(program: ProgramConnection): Promise<{ share: string; characters: string }> {
  const answer = await program.request("status", {}, 5_000);
  const known = answer.ok ? statusOf(answer.members) : null;
  if (known === null) throw new MountaineerError("program_refused", answer.ok ? "no answer" : answer.text);
  const { share, characters = "" } = known.status;
  return { share, characters };
}

/** Makes a file or folder beside its place, under a name that nothing else has, and puts it there once it is whole. A present file is only
 * replaced with `force`, a folder never. */
async function makeThenMove(
  { to, force, isFolder }: Readonly<{ to: string; force: boolean; isFolder: boolean }>,
  make: (path: string) => Promise<void>,
): Promise<void> {
  const isFree = async (): Promise<boolean> => {
    const present = await lstat(to).catch(recoverFrom(["ENOENT", "ENOTDIR"], null));
    if (present === null) return true;
    const isTaken = isFolder || present.isDirectory();
    if (force && !isTaken) return false;
    throw new MountaineerError("path_taken", `${to} exists`, {
      hint: isTaken ? "name another place" : "replace it: --force",
    });
  };
  await isFree();
  const made = join(dirname(to), `.${basename(to).slice(0, NAME_CHARACTERS_AT_MOST)}.${randomUUID()}`);
  const leftovers = [made];
  try {
    await make(made);
    if ((await isFree()) && !isFolder) {
      // Exclusively, so that no other program's file is replaced.
      await (await open(to, "wx")).close();
      leftovers.push(to);
    }
    await rename(made, to);
  } catch (error) {
    for (const path of leftovers) await rm(path, { recursive: true, force: true });
    throw error;
  }
}
