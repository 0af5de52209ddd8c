// The file of a backup: a line with the format's version, a salt and a nonce, then bytes that only the passphrase opens.
import { createCipheriv, createDecipheriv, randomBytes, scrypt } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { errorText, MountaineerError } from "../../runtime/errors.ts";

/** Written in each file. A higher number is refused. */
const FORMAT = 1;
/** How each file begins. */
export const BEGIN = "mountaineer-backup ";
export const MOST_BYTES = 256 * 1024 * 1024;
const SALT_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const LENGTH_BYTES = 8;
/** How much is decrypted at a time, as Node holds the result of a call twice. */
const PART_BYTES = 1024 * 1024;
/** Takes half a second and 128 MiB for each guess. */
const COST = { N: 2 ** 17, r: 8, p: 1, maxmem: 160 * 1024 * 1024 };
const HEADER = /^mountaineer-backup (\d{1,9}) (?:([\w-]{22}) ([\w-]{16})\n$)?/;
const LONGEST_HEADER = 80;

/** The parts of the file. `content` is read twice. Runs scrypt, so only a command may call it. */
export async function* sealBackup(content: Iterable<Buffer>, passphrase: string): AsyncGenerator<Buffer> {
  const salt = randomBytes(SALT_BYTES);
  const nonce = randomBytes(NONCE_BYTES);
  const text = `${BEGIN}${FORMAT} ${salt.toString("base64url")} ${nonce.toString("base64url")}\n`;
  const header = Buffer.from(text);
  const key = await keyOf(passphrase, salt);
  let bytes = 0;
  for (const part of content) bytes += part.length;
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeBigUInt64BE(BigInt(bytes));
  yield header;
  // The length is sealed apart: what opens it is the passphrase, so a body that does not open was changed.
  yield* sealed([length], key, nonce, header);
  yield* sealed(content, key, next(nonce), header);
}

/** The content. Rejects with `backup_refused`, which says whether the file is cut, changed, foreign or newer, or the passphrase wrong. */
export async function openBackup(bytes: Buffer, passphrase: string): Promise<Buffer> {
  const { header, salt, nonce } = headerOf(bytes);
  const key = await keyOf(passphrase, salt);
  const bodyAt = header.length + LENGTH_BYTES + TAG_BYTES;
  if (bytes.length < bodyAt + TAG_BYTES) throw refused("it is cut short");
  const length = opened(bytes.subarray(header.length, bodyAt), key, nonce, header);
  if (length === null) throw refused("the passphrase is wrong, or the file's beginning was changed");
  const missing = Number(length.readBigUInt64BE()) + TAG_BYTES - (bytes.length - bodyAt);
  if (missing > 0) throw refused(`it is cut short: ${missing} bytes are missing`);
  const body = opened(bytes.subarray(bodyAt), key, next(nonce), header);
  if (body === null) throw refused("it was changed after it was written");
  return body;
}

/** Reads a file without opening it. Rejects with `backup_refused` if it cannot be a backup of this version. */
export async function readBackupFile(path: string): Promise<Buffer> {
  try {
    const found = await stat(path);
    if (!found.isFile()) throw refused("it is not a regular file");
    if (found.size > MOST_BYTES) throw refused("it has more than 256 MiB");
    const bytes = await readFile(path);
    headerOf(bytes);
    return bytes;
  } catch (error) {
    throw error instanceof MountaineerError ? error : refused(errorText(error));
  }
}

function headerOf(bytes: Buffer) {
  const first = bytes.subarray(0, LONGEST_HEADER);
  const header = first.subarray(0, first.indexOf("\n") + 1 || first.length);
  const [, version, salt, nonce] = HEADER.exec(header.toString("latin1")) ?? [];
  if (version === undefined) throw refused("it is foreign: Mountaineer did not write it");
  if (Number(version) > FORMAT) throw refused(`a newer version wrote it (format ${version})`);
  if (salt === undefined || nonce === undefined) throw refused("its first line is cut short, or was changed");
  return { header, salt: Buffer.from(salt, "base64url"), nonce: Buffer.from(nonce, "base64url") };
}

export function refused(why: string): MountaineerError {
  return new MountaineerError("backup_refused", `the backup is not used: ${why}`, {
    hint: "nothing was changed",
  });
}

function keyOf(passphrase: string, salt: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const whole = passphrase.normalize("NFC");
    scrypt(whole, salt, 32, COST, (error, key) => (error === null ? resolve(key) : reject(error)));
  });
}

function next(nonce: Buffer): Buffer {
  const other = Buffer.from(nonce);
  other[0] = (other[0] ?? 0) ^ 1;
  return other;
}

function* sealed(content: Iterable<Buffer>, key: Buffer, nonce: Buffer, header: Buffer): Generator<Buffer> {
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(header);
  for (const part of content) yield cipher.update(part);
  // GCM keeps no bytes back.
  cipher.final();
  yield cipher.getAuthTag();
}

function opened(bytes: Buffer, key: Buffer, nonce: Buffer, header: Buffer): Buffer | null {
  const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(header).setAuthTag(bytes.subarray(-TAG_BYTES));
  const content = Buffer.allocUnsafe(bytes.length - TAG_BYTES);
  for (let at = 0; at < content.length; at += PART_BYTES)
    content.set(decipher.update(bytes.subarray(at, Math.min(at + PART_BYTES, content.length))), at);
  try {
    decipher.final();
    return content;
  } catch {
    return null;
  }
}
