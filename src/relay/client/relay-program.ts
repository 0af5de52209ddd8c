// Copies the relay's program into the home, out of reach of builds, upgrades and uninstalls, and starts it there.
import { createHash, randomBytes } from "node:crypto";
import { chmod, lstat, mkdir, readdir, readFile, rename, rm, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { errorText, MountaineerError, systemErrorCode } from "../../runtime/errors.ts";
import { ensurePrivateFolder } from "../../runtime/files/durable-file.ts";
import { ownNode } from "../../runtime/process/build-copy.ts";
import { startDetached } from "../../runtime/process/child-process.ts";
import { programBeside } from "../../runtime/process/program-beside.ts";
import { relayFolder } from "../control/control-socket.ts";
import { KEEP_SOCKETS_SCRIPT } from "../control/socket-holder.ts";

const FOLDER_PREFIX = "program-";
/** All that is in such a folder. */
const FILES = ["carrier.mjs", "run.sh", "keep.sh"] as const;
const HASH_CHARACTERS = 12;
const LEAST_NODE = { major: 22, minor: 18 };

/** The path of the bundled program: beside this module in the built package, in `dist` in a checkout. */
export async function bundledProgramPath(): Promise<string> {
  if (!import.meta.url.endsWith(".ts")) return fileURLToPath(programBeside(import.meta.url, "relay-process"));
  const dist = fileURLToPath(new URL("../../../dist/", import.meta.url));
  const current = (await readFile(join(dist, "current"), "utf8").catch(() => "")).trim();
  return join(dist, current, "relay-process.js");
}

/**
 * Copies the program (null: this package's) into the home unless the home has it, and starts it, detached. Resolves when it
 * runs, before it listens. Rejects with `program_unavailable`, `home_unwritable`.
 */
export async function startRelay(home: string, programPath: string | null, nodePath: string): Promise<void> {
  const folder = await installProgram(home, programPath ?? (await bundledProgramPath()), nodePath);
  await startDetached("/bin/sh", [join(folder, "run.sh"), home], {
    logPath: null,
    env: { MOUNTAINEER_NODE: ownNode() },
  });
}

/** Resolves with the program's folder, which appears at its path only when all its files are written. */
async function installProgram(home: string, programPath: string, nodePath: string): Promise<string> {
  const relayHome = relayFolder(home);
  await ensurePrivateFolder(relayHome);
  await chmod(relayHome, 0o700);
  const program = await readFile(programPath).catch((error: unknown) => {
    throw new MountaineerError(
      "program_unavailable",
      `the relay's program cannot be read: ${errorText(error)}`,
      {
        hint: "reinstall Mountaineer, or run 'npm run build' in a checkout",
        cause: error,
      },
    );
  });
  const runScript = runScriptFor(nodePath);
  const hash = createHash("sha256")
    .update(program)
    .update(runScript)
    .update(KEEP_SOCKETS_SCRIPT)
    .digest("hex");
  const folder = join(relayHome, `${FOLDER_PREFIX}${hash.slice(0, HASH_CHARACTERS)}`);
  try {
    await copyProgram(folder, { program, runScript });
  } catch (error) {
    if (systemErrorCode(error) === null) throw error;
    throw new MountaineerError("home_unwritable", `the relay's program cannot be written to ${relayHome}`, {
      cause: error,
    });
  }
  return folder;
}

/** Removes the copies of all versions but those in `keep`: the hashes that running relays report. */
export async function removeOldPrograms(home: string, keep: readonly string[]): Promise<void> {
  const relayHome = relayFolder(home);
  const names = await readdir(relayHome).catch(() => []);
  const old = names.filter(
    (name) => name.startsWith(FOLDER_PREFIX) && !keep.includes(name.slice(FOLDER_PREFIX.length)),
  );
  await Promise.all(old.map((name) => removeProgram(join(relayHome, name))));
}

/** Removes what `copyProgram` makes, and no other file. */
async function removeProgram(folder: string): Promise<void> {
  if ((await lstat(folder).catch(() => null))?.isDirectory() !== true) return;
  for (const name of FILES) await rm(join(folder, name), { force: true });
  await rmdir(folder).catch(() => {});
}

async function copyProgram(
  folder: string,
  { program, runScript }: { readonly program: Buffer; readonly runScript: string },
): Promise<void> {
  const files: readonly (readonly [string, string | Buffer, number])[] = [
    [FILES[0], program, 0o600],
    [FILES[1], runScript, 0o700],
    [FILES[2], KEEP_SOCKETS_SCRIPT, 0o700],
  ];
  const isComplete = async (): Promise<boolean> => {
    const found = await Promise.all(files.map(([name]) => readFile(join(folder, name)).catch(() => null)));
    return found.every((content, index) => content?.equals(Buffer.from(files[index]?.[1] ?? "")));
  };
  if (await isComplete()) return;
  const fresh = `${folder}.${randomBytes(4).toString("hex")}`;
  try {
    await mkdir(fresh, { mode: 0o700 });
    for (const [name, content, mode] of files) await writeFile(join(fresh, name), content, { mode });
    await rename(fresh, folder).catch(async (error: unknown) => {
      // Either another daemon has just placed the same program, or an incomplete folder is there and is
      // replaced.
      const code = systemErrorCode(error);
      if (code !== "ENOTEMPTY" && code !== "EEXIST") throw error;
      if (await isComplete()) return;
      await removeProgram(folder);
      await rename(fresh, folder);
    });
  } finally {
    await removeProgram(fresh);
  }
}

/** Small heaps suffice, because the buffers of connections are outside the heap. */
const NODE_OPTIONS = "--max-semi-space-size=1 --max-old-space-size=128";

/**
 * A script that runs the relay, with `nodePath` or, if that is missing or too old, with the Node of the daemon that
 * starts it, or the first other one that it finds.
 */
function runScriptFor(nodePath: string): string {
  const quoted = `'${nodePath.replaceAll("'", `'\\''`)}'`;
  return `#!/bin/sh
# Runs the relay: "run.sh HOME [SOCKETS]". Written by Mountaineer.
self=$(CDPATH='' cd -P -- "\${0%/*}" && pwd -P) || exit 127

is_new_enough() {
  version=$("$1" --version 2>/dev/null) || return 1
  case $version in v[0-9]*.[0-9]*.*) ;; *) return 1 ;; esac
  major=\${version#v}
  minor=\${major#*.}
  major=\${major%%.*}
  minor=\${minor%%.*}
  case $major$minor in *[!0-9]*) return 1 ;; esac
  [ "$major" -gt ${LEAST_NODE.major} ] || { [ "$major" -eq ${LEAST_NODE.major} ] && [ "$minor" -ge ${LEAST_NODE.minor} ]; }
}

for node in ${quoted} "$MOUNTAINEER_NODE" "$(command -v node)" /opt/homebrew/bin/node /usr/local/bin/node; do
  if [ -n "$node" ] && [ -x "$node" ] && is_new_enough "$node"; then
    exec "$node" ${NODE_OPTIONS} "$self/carrier.mjs" "$@"
  fi
done
exit 127
`;
}
