// The child process that reads a file with a secret: a file or a pipe may never answer, and may be replaced while it is read.
import { lstat, open, readlink, realpath } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { errorText } from "../runtime/errors.ts";

const LARGEST_BYTES = 64 * 1024;
const DEEPEST = 40;
const WRITABLE_BY_OTHERS = 0o002;

const isTrusted = (userId: number): boolean => userId === 0 || userId === process.getuid?.();

/** Throws if another user made a symlink on the path, who could make it lead elsewhere. */
async function assertTrusted(path: string, depth = 0): Promise<void> {
  if (depth > DEEPEST) throw new Error(`${path} leads through too many symlinks`);
  const parent = dirname(path);
  if (parent !== path) await assertTrusted(parent, depth);
  const target = await readlink(path).catch(() => null);
  if (target === null) return;
  if (!isTrusted((await lstat(path)).uid)) throw new Error(`${path} is a symlink that another user made`);
  await assertTrusted(resolve(await realpath(parent), target), depth + 1);
}

async function readValue(path: string): Promise<string> {
  await assertTrusted(path);
  // Opening a pipe waits for its writer, until the parent's deadline.
  await using file = await open(path);
  const status = await file.stat();
  if (!status.isFile() && !status.isFIFO()) throw new Error(`${path} is neither a file nor a pipe`);
  if (!isTrusted(status.uid)) throw new Error(`${path} belongs to another user`);
  if ((status.mode & WRITABLE_BY_OTHERS) !== 0) throw new Error(`${path} may be written by other users`);
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of file.createReadStream({ autoClose: false })) {
    chunks.push(Buffer.from(chunk));
    length += chunk.length;
    if (length > LARGEST_BYTES) throw new Error(`${path} is larger than 64 KiB`);
  }
  return Buffer.concat(chunks)
    .toString("utf8")
    .replace(/\r?\n$/, "");
}

const [, , path = ""] = process.argv;
const answer = await readValue(path).then(
  (value) => ({ value }),
  (error: unknown) => ({ problem: errorText(error) }),
);
process.stdout.write(JSON.stringify(answer));
