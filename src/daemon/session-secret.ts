// The home's secret for session ids, in a file that only this user can read.
import { randomBytes } from "node:crypto";
import { constants, open } from "node:fs/promises";
import { join } from "node:path";
import type { SessionSecret } from "../gateway/serving/gateway-contract.ts";
import { errorText, recoverFrom } from "../runtime/errors.ts";
import { keepPrivateFile } from "../runtime/files/durable-file.ts";
import type { HandedSecret } from "./handover/handover-messages.ts";

const BYTES = 32;
const OTHERS = 0o077;

/**
 * Reads or makes the secret. If the file cannot be used, the secret lasts as long as the daemons that hand it over. To be
 * called with the home's lock. `handed`: that of the daemon before this one; null: there was none. Never rejects.
 */
export async function homeSessionSecret(home: string, handed: HandedSecret | null): Promise<SessionSecret> {
  const path = join(home, "session.key");
  // A file that is gone was removed by a person: all sessions are to end.
  const before = handed === null ? null : Buffer.from(handed.text, "base64url");
  const made = handed?.unsavedBecause == null ? randomBytes(BYTES) : (before ?? randomBytes(BYTES));
  try {
    const stored = await storedSecret(path);
    if (stored === null) await keepPrivateFile(path, `${made.toString("base64url")}\n`, { mode: 0o600 });
    return { bytes: stored ?? made, unsavedBecause: null };
  } catch (error) {
    return { bytes: before ?? made, unsavedBecause: errorText(error) };
  }
}

/** Null: no such file. Rejects if it is not a private file of this user with a secret in it. */
async function storedSecret(path: string): Promise<Buffer | null> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(path, flags).catch(recoverFrom("ENOENT", null));
  if (file === null) return null;
  try {
    const found = await file.stat();
    if (!found.isFile()) throw new Error(`${path} is not a file`);
    if (found.uid !== process.getuid?.()) throw new Error(`${path} belongs to another user`);
    if ((found.mode & OTHERS) !== 0) throw new Error(`others can read ${path}`);
    const { bytesRead, buffer } = await file.read(Buffer.alloc(BYTES * 2), 0, BYTES * 2, 0);
    const secret = Buffer.from(buffer.toString("utf8", 0, bytesRead), "base64url");
    if (secret.length !== BYTES) throw new Error(`${path} has no key in it`);
    return secret;
  } finally {
    await file.close();
  }
}
