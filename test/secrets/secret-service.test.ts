// A real Secret Service: GNOME Keyring on a D-Bus of its own, asked through `secret-tool`.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { COMMAND } from "../cli/command-line.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { programMissing } from "../sync/programs.ts";

/**
 * Unlocks a keyring of its own, waits until it is open, and runs the rest on the same bus. Asked of the bus first: a
 * question to the service itself would start another, locked one, if ours is not there yet.
 */
const OPEN = `
printf pw | gnome-keyring-daemon --unlock --components=secrets --foreground >/dev/null 2>&1 &
keyring=$!
tries=0
until_says() {
  wanted=$1; shift
  until gdbus call --session "$@" 2>&1 | grep -qF "$wanted"; do
    tries=$((tries + 1)); [ $tries -gt 600 ] && exit 99
    sleep 0.1
  done
}
until_says '(true,)' --dest org.freedesktop.DBus --object-path /org/freedesktop/DBus \
  --method org.freedesktop.DBus.NameHasOwner org.freedesktop.secrets
until_says '(<false>,)' --dest org.freedesktop.secrets --object-path /org/freedesktop/secrets/collection/login \
  --method org.freedesktop.DBus.Properties.Get org.freedesktop.Secret.Collection Locked
`;

const SESSION = `${OPEN}
printf 'Wörd "one"' | "$@" secret set nas || exit 1
cat "$MOUNTAINEER_HOME/secrets.json"
secret-tool lookup application mountaineer home "$MOUNTAINEER_HOME" name nas
"$@" secret list || exit 1
"$@" secret remove nas || exit 1
secret-tool lookup application mountaineer home "$MOUNTAINEER_HOME" name nas && exit 2
kill $keyring
exit 0
`;

test("secrets are kept in a real Secret Service where one answers", async (t) => {
  const missing = await programMissing("dbus-run-session", "gnome-keyring-daemon", "secret-tool", "gdbus");
  if (missing !== null) return t.skip(missing);
  const folder = await temporaryFolder(t);
  const home = join(folder, "m");
  const runtime = join(folder, "run");
  await mkdir(runtime, { mode: 0o700 });
  const { PATH = "" } = process.env;
  const { stdout } = await promisify(execFile)(
    "dbus-run-session",
    ["--", "sh", "-c", SESSION, "sh", ...COMMAND],
    {
      env: { PATH, HOME: folder, XDG_RUNTIME_DIR: runtime, MOUNTAINEER_HOME: home, LANG: "C.UTF-8" },
      timeout: 300_000,
      killSignal: "SIGKILL",
    },
  );
  assert.match(stdout, /nas is kept: Secret Service/);
  assert.match(stdout, /"kept": "secret-service"/);
  assert.match(stdout, /Wörd "one"/);
  assert.match(stdout, /● nas {2}Secret Service {2}not used/);
  assert.match(stdout, /nas is removed: Secret Service/);
});

const SEAL = `${OPEN}
"$@" "$MOUNTAINEER_HOME" read || exit 1
"$@" "$MOUNTAINEER_HOME" write || exit 1
ls "$MOUNTAINEER_HOME"
rm "$MOUNTAINEER_HOME/approvals.sealed"
"$@" "$MOUNTAINEER_HOME" read || exit 1
secret-tool clear application mountaineer home "$MOUNTAINEER_HOME" || exit 1
"$@" "$MOUNTAINEER_HOME" read || exit 1
kill $keyring
exit 0
`;

test("E2 a sealed file that is removed is known by its key in a real Secret Service, until that is cleared", async (t) => {
  const missing = await programMissing("dbus-run-session", "gnome-keyring-daemon", "secret-tool", "gdbus");
  if (missing !== null) return t.skip(missing);
  const folder = await temporaryFolder(t);
  const runtime = join(folder, "run");
  await mkdir(runtime, { mode: 0o700 });
  const { PATH = "" } = process.env;
  const program = join(import.meta.dirname, "programs/seal.ts");
  const { stdout } = await promisify(execFile)(
    "dbus-run-session",
    ["--", "sh", "-c", SEAL, "sh", process.execPath, program],
    {
      env: {
        PATH,
        HOME: folder,
        XDG_RUNTIME_DIR: runtime,
        MOUNTAINEER_HOME: join(folder, "m"),
        LANG: "C.UTF-8",
      },
      timeout: 300_000,
      killSignal: "SIGKILL",
    },
  );
  assert.deepEqual(stdout.trim().split("\n").slice(-5), [
    'read {"state":"never"} null',
    'write {"state":"sound","value":{"n":1},"note":"commands"} keyring',
    "approvals.sealed",
    'read {"state":"missing","note":"commands"} keyring',
    'read {"state":"never"} null',
  ]);
});
