// Keeps secrets in the Secret Service (GNOME Keyring, KWallet, KeePassXC) through `secret-tool`.

import { MountaineerError } from "../runtime/errors.ts";
import { type CommandResult, runCommand } from "../runtime/process/child-process.ts";
import type { Keyring, KeyringLimits, KeyringOptions } from "./system-keyring.ts";

const PROGRAM = "secret-tool";
/** The session bus's address. `secret-tool` gets it in addition to the variables of every child process. */
const BUS = "DBUS_SESSION_BUS_ADDRESS";

export function createSecretService({ home, clock, environment }: KeyringOptions): Keyring {
  const bus = busOf(environment);
  const attributes = (name: string): string[] => ["application", "mountaineer", "home", home, "name", name];

  const run = async (
    args: readonly string[],
    { deadlineMs, signal }: KeyringLimits,
    stdin?: string,
  ): Promise<CommandResult> => {
    if (bus === null) throw unavailable("there is no session bus: DBUS_SESSION_BUS_ADDRESS is not set");
    return runCommand(PROGRAM, args, { clock, deadlineMs, env: { [BUS]: bus }, stdin, signal });
  };

  const search = async (name: string, limits: KeyringLimits): Promise<string | null> => {
    const result = await run(["lookup", ...attributes(name)], limits);
    if (result.exitCode === 0) return result.stdout;
    if (isNothing(result)) return null;
    throw failure("cannot be read from the Secret Service", result);
  };

  return {
    kind: "secret-service",
    async unusableBecause(limits) {
      try {
        // No secret can be called "/": this look-up only tests whether the keyring answers.
        await search("/", limits);
        return null;
      } catch (error) {
        if (!(error instanceof MountaineerError) || error.code === "aborted") throw error;
        return error.message;
      }
    },
    get: search,
    async set(name, value, limits) {
      const label = `Mountaineer: ${name}`;
      const result = await run(["store", `--label=${label}`, ...attributes(name)], limits, value);
      if (result.exitCode !== 0) throw failure(`${name} cannot be stored in the Secret Service`, result);
    },
    async remove(name, limits) {
      const result = await run(["clear", ...attributes(name)], limits);
      // If there is nothing to clear, some versions exit with 1, others with 0.
      if (result.exitCode === 0) return true;
      if (isNothing(result)) return false;
      throw failure(`${name} cannot be removed from the Secret Service`, result);
    },
  };
}

/** An unknown secret is exit code 1 without output; any other failure writes to stderr. */
function isNothing({ exitCode, stderr }: CommandResult): boolean {
  return exitCode === 1 && stderr.trim() === "";
}

/**
 * The address of the session bus; null if there is none. Then `secret-tool` must not run: it would look for a
 * bus below the home folder, and create a folder there.
 */
function busOf(environment: KeyringOptions["environment"]): string | null {
  const folder = environment["XDG_RUNTIME_DIR"];
  return environment[BUS] ?? (folder === undefined ? null : `unix:path=${folder}/bus`);
}

/** The stderr of `secret-tool` is safe to show, because `secret-tool` prints values only on stdout. */
function failure(what: string, { stderr, timedOut, exitCode }: CommandResult): MountaineerError {
  const firstLine = stderr
    .trim()
    .split("\n")
    .at(-1)
    ?.replace(/^secret-tool: /, "");
  const why = timedOut
    ? "it gave no answer in time; it may wait for its password"
    : firstLine || `${PROGRAM} ended with ${exitCode}`;
  return unavailable(`${what}: ${why}`);
}

function unavailable(message: string): MountaineerError {
  return new MountaineerError("secret_unavailable", message, {
    hint: "unlock the keyring, or keep it in a file: mountaineer secret set NAME --in file",
    retry: "later",
  });
}
