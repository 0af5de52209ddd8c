// Keeps secrets in the login Keychain of macOS through `security`, as generic passwords of this home.

import { MountaineerError } from "../runtime/errors.ts";
import { sha256Of } from "../runtime/files/sha256.ts";
import { type CommandResult, runCommand } from "../runtime/process/child-process.ts";
import type { Keyring, KeyringLimits, KeyringOptions } from "./system-keyring.ts";

const PROGRAM = "security";
const NOT_FOUND = 44;
/** `security -i` reads each line into a buffer of 4,096 bytes, line end included, and silently cuts off the rest. */
const LINE_AT_MOST_BYTES = 4_000;

export function createKeychain({ home, clock }: KeyringOptions): Keyring {
  // The name is a digest, because the command lines of `security` cannot safely contain every path.
  const service = `mountaineer-${sha256Of(home).slice(0, 16)}`;

  const run = (
    args: readonly string[],
    { deadlineMs, signal }: KeyringLimits,
    stdin?: string,
  ): Promise<CommandResult> => runCommand(PROGRAM, args, { clock, deadlineMs, stdin, signal });

  const get = async (name: string, limits: KeyringLimits): Promise<string | null> => {
    // The flag -w is not used: it prints some values as they are and others in hexadecimal, without saying
    // which.
    const result = await run(["find-generic-password", "-s", service, "-a", name, "-g"], limits);
    if (result.exitCode === NOT_FOUND) return null;
    const value = result.exitCode === 0 ? printedPassword(result.stderr) : null;
    if (value === null) throw failure(`${name} cannot be read from the Keychain`, result);
    return value;
  };

  return {
    kind: "keychain",
    async unusableBecause(limits) {
      try {
        const { exitCode } = await run(["default-keychain"], limits);
        return exitCode === 0 ? null : "there is no default keychain in this session";
      } catch (error) {
        if (!(error instanceof MountaineerError) || error.code === "aborted") throw error;
        return error.message;
      }
    },
    get,
    async set(name, value, limits) {
      const hex = Buffer.from(value, "utf8").toString("hex");
      // The command goes to stdin, where `security -i` reads it, because other users can see arguments.
      const line = `add-generic-password -U -s ${service} -a ${name} -l mountaineer-${name} -X ${hex}\n`;
      if (line.length > LINE_AT_MOST_BYTES) throw tooLong(name, value, line.length);
      const result = await run(["-i"], limits, line);
      // In interactive mode, `security` exits with 0 even if a command failed, so the value is read back.
      if (result.exitCode !== 0 || (await get(name, limits)) !== value) {
        throw failure(`${name} cannot be stored in the Keychain`, result);
      }
    },
    async remove(name, limits) {
      const result = await run(["delete-generic-password", "-s", service, "-a", name], limits);
      if (result.exitCode === 0) return true;
      if (result.exitCode === NOT_FOUND) return false;
      throw failure(`${name} cannot be removed from the Keychain`, result);
    },
  };
}

/**
 * The value in the output of `security`, which prints `password: "as it is"`, or `password: 0x68C3A9
 * "h\303\251"` for a value that is not plain ASCII; null for any other output.
 */
export function printedPassword(output: string): string | null {
  const hex = /^password: 0x([0-9A-Fa-f]*)/m.exec(output)?.[1];
  if (hex !== undefined) return Buffer.from(hex, "hex").toString("utf8");
  const text = output.trimEnd();
  const start = /^password: "/m.exec(text)?.index;
  return start === undefined || !text.endsWith('"') ? null : text.slice(start + 'password: "'.length, -1);
}

/**
 * The error for a value that is too long. It is thrown before writing, because `security` would truncate the
 * value and replace the stored one by it.
 */
function tooLong(name: string, value: string, lineBytes: number): MountaineerError {
  const bytes = Buffer.byteLength(value, "utf8");
  // Each byte of the value takes two characters of the line.
  const space = bytes - Math.ceil((lineBytes - LINE_AT_MOST_BYTES) / 2);
  return new MountaineerError(
    "secret_unavailable",
    `${name} cannot be stored in the Keychain: it has ${bytes} bytes, and this way takes ${space} at most`,
    { hint: "keep it in a file: mountaineer secret set NAME --in file", retry: "never" },
  );
}

/** The error of a failed command, without its output, which may contain the value. */
function failure(what: string, { exitCode, timedOut }: CommandResult): MountaineerError {
  const why = timedOut ? "no answer in time; a dialog may wait for you" : `security ended with ${exitCode}`;
  return new MountaineerError("secret_unavailable", `${what}: ${why}`, {
    hint: "unlock the login keychain, or keep it in a file: mountaineer secret set NAME --in file",
    retry: "later",
  });
}
