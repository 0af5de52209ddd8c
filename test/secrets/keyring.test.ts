import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { systemClock } from "../../src/runtime/time/clock.ts";
import { createKeyring } from "../../src/secrets/keyring.ts";
import { printedPassword } from "../../src/secrets/keyring-darwin.ts";
import type { Keyring } from "../../src/secrets/system-keyring.ts";
import { COMMAND } from "../cli/command-line.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { programMissing } from "../sync/programs.ts";

const PROGRAMS = join(import.meta.dirname, "programs");
const LIMITS = { deadlineMs: 60_000 };
const WITH_BUS = { DBUS_SESSION_BUS_ADDRESS: "unix:path=/nonexistent/bus" };

interface StandIn {
  readonly keyring: Keyring;
  readonly folder: string;
  /** Every argument that its program was ever given. */
  arguments(): Promise<string>;
}

async function standIn(
  t: TestContext,
  platform: "linux" | "darwin",
  says: Readonly<Record<string, string>> = {},
): Promise<StandIn> {
  const folder = await temporaryFolder(t);
  const { PATH } = process.env;
  // The programs see what the short list of every child's environment lets through.
  const wrapped = join(folder, "bin");
  await mkdir(wrapped);
  const name = platform === "linux" ? "secret-tool" : "security";
  const settings = Object.entries({ STAND_IN_FOLDER: folder, ...says })
    .map(([key, value]) => `${key}='${value}'`)
    .join(" ");
  await writeFile(join(wrapped, name), `#!/bin/sh\n${settings} exec '${join(PROGRAMS, name)}' "$@"\n`);
  await chmod(join(wrapped, name), 0o755);
  process.env["PATH"] = [wrapped, PATH].join(delimiter);
  t.after(() => {
    process.env["PATH"] = PATH;
  });
  const keyring = createKeyring(
    { home: "/home/ann/my home", clock: systemClock, environment: WITH_BUS },
    platform,
  );
  assert.ok(keyring !== null);
  return { keyring, folder, arguments: () => readFile(join(folder, "arguments"), "utf8") };
}

for (const platform of ["linux", "darwin"] as const) {
  test(`${platform}: a value reads back unchanged, is in no argument, and is gone after its removal`, async (t) => {
    const missing = await programMissing(platform === "linux" ? "sha256sum" : "perl");
    if (missing !== null) return t.skip(missing);
    const { keyring, arguments: given } = await standIn(t, platform);
    assert.equal(await keyring.unusableBecause(LIMITS), null);
    assert.equal(await keyring.get("nas", LIMITS), null);
    const values = [
      "plain",
      'with "quotes" and \\ and $(x)',
      " spaces ",
      "Ümläut-ñ-日本",
      "-X -w",
      "0xFF",
      "a;b",
    ];
    for (const value of values) {
      await keyring.set("nas", value, LIMITS);
      assert.equal(await keyring.get("nas", LIMITS), value);
    }
    await keyring.set("other", "elsewhere", LIMITS);
    assert.equal(await keyring.remove("nas", LIMITS), true);
    assert.equal(await keyring.remove("nas", LIMITS), false);
    assert.equal(await keyring.get("nas", LIMITS), null);
    assert.equal(await keyring.get("other", LIMITS), "elsewhere");
    const all = await given();
    for (const value of [...values, "elsewhere"]) {
      assert.ok(!all.includes(Buffer.from(value).toString("hex")), value);
      if (!/^-/.test(value)) assert.ok(!all.includes(value), value);
    }
  });
}

test("linux: without a bus it says so, and calls no program, which would make a folder below the home", async (t) => {
  const { arguments: given } = await standIn(t, "linux");
  const keyring = createKeyring({ home: "/h", clock: systemClock, environment: {} }, "linux");
  assert.match((await keyring?.unusableBecause(LIMITS)) ?? "", /there is no session bus/);
  await assert.rejects(given(), { code: "ENOENT" });
});

test("linux: with a bus without this service, the reason is reported", async (t) => {
  const { keyring } = await standIn(t, "linux", {
    STAND_IN_SAYS: "The name org.freedesktop.secrets was not provided by any .service files",
  });
  assert.match((await keyring.unusableBecause(LIMITS)) ?? "", /was not provided by any/);
  await assert.rejects(keyring.get("nas", LIMITS), { code: "secret_unavailable" });
  await assert.rejects(keyring.set("nas", "hidden word", LIMITS), (error) => {
    assert.ok(error instanceof MountaineerError);
    assert.doesNotMatch(`${error.message} ${error.hint}`, /hidden word/);
    return error.code === "secret_unavailable";
  });
});

for (const platform of ["linux", "darwin"] as const) {
  test(`${platform}: a keyring that waits for its person is given up after its deadline, and this is reported`, async (t) => {
    const missing = await programMissing(platform === "linux" ? "sha256sum" : "perl");
    if (missing !== null) return t.skip(missing);
    const { keyring } = await standIn(t, platform, { STAND_IN_HANGS: "yes" });
    await assert.rejects(keyring.get("nas", { deadlineMs: 100 }), /no answer in time/);
  });
}

test("darwin: a failure that was not a time-out reports how security ended", async (t) => {
  const missing = await programMissing("perl");
  if (missing !== null) return t.skip(missing);
  const { keyring, folder } = await standIn(t, "darwin");
  await keyring.set("nas", "word", LIMITS);
  // What is kept there cannot be read: the program fails.
  for (const name of await readdir(folder)) {
    if (!name.endsWith("@nas")) continue;
    await rm(join(folder, name));
    await mkdir(join(folder, name));
  }
  await assert.rejects(keyring.get("nas", LIMITS), /security ended with 1/);
});

test("darwin: security's text for a failure is never reported, as it may contain the value", async (t) => {
  const missing = await programMissing("perl");
  if (missing !== null) return t.skip(missing);
  const { keyring } = await standIn(t, "darwin", { STAND_IN_SAYS: "yes" });
  await assert.rejects(keyring.set("nas", "hidden word", LIMITS), (error) => {
    assert.ok(error instanceof MountaineerError);
    const told = `${error.message} ${error.hint}`;
    assert.ok(!told.includes("hidden word") && !told.includes(Buffer.from("hidden word").toString("hex")));
    return error.code === "secret_unavailable";
  });
});

test("darwin: a value that security would cut is refused, and the earlier one stays", async (t) => {
  const missing = await programMissing("perl");
  if (missing !== null) return t.skip(missing);
  const { keyring } = await standIn(t, "darwin");
  const refused = async (value: string): Promise<MountaineerError> => {
    try {
      await keyring.set("nas", value, LIMITS);
    } catch (error) {
      assert.ok(error instanceof MountaineerError);
      assert.equal(error.code, "secret_unavailable");
      return error;
    }
    throw new Error("it was kept");
  };
  await keyring.set("nas", "the one before", LIMITS);
  const { message } = await refused("x".repeat(5_000));
  const room = Number(/takes (\d+) at most/.exec(message)?.[1]);
  assert.ok(room > 1_900 && room < 2_048, message);
  assert.equal(await keyring.get("nas", LIMITS), "the one before");

  const longest = "x".repeat(room);
  await keyring.set("nas", longest, LIMITS);
  assert.equal(await keyring.get("nas", LIMITS), longest);
  await refused(`${longest}y`);
  // Bytes count, not characters.
  await refused("ü".repeat(Math.floor(room / 2) + 1));
  assert.equal(await keyring.get("nas", LIMITS), longest);
});

test("where the program is missing, the keyring is unusable and says so", async (t) => {
  const { PATH } = process.env;
  t.after(() => {
    process.env["PATH"] = PATH;
  });
  process.env["PATH"] = "/nonexistent";
  for (const platform of ["linux", "darwin"] as const) {
    const keyring = createKeyring({ home: "/h", clock: systemClock, environment: WITH_BUS }, platform);
    assert.match((await keyring?.unusableBecause(LIMITS)) ?? "", /not installed/);
  }
  assert.equal(createKeyring({ home: "/h", clock: systemClock, environment: {} }, "win32"), null);
});

test("darwin: a password is read in both of the forms in which it is printed", () => {
  assert.equal(printedPassword('keychain: "x"\npassword: "plain \\"as it is"\n'), 'plain \\"as it is');
  assert.equal(printedPassword('password: 0x68C3A9  "h\\303\\251"\n'), "hé");
  assert.equal(printedPassword('password: ""\n'), "");
  assert.equal(printedPassword("password: \n"), null);
  assert.equal(printedPassword(""), null);
});

// A real Secret Service: GNOME Keyring on a D-Bus of its own, asked through `secret-tool`.
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

/** The output of a script on a session bus of its own, with `command` as its arguments; null: skipped. */
async function inSession(t: TestContext, script: string, command: readonly string[]): Promise<string | null> {
  const missing = await programMissing("dbus-run-session", "gnome-keyring-daemon", "secret-tool", "gdbus");
  if (missing !== null) {
    t.skip(missing);
    return null;
  }
  const folder = await temporaryFolder(t);
  const [home, runtime] = [join(folder, "m"), join(folder, "run")];
  await mkdir(runtime, { mode: 0o700 });
  const { PATH = "" } = process.env;
  const env = { PATH, HOME: folder, XDG_RUNTIME_DIR: runtime, MOUNTAINEER_HOME: home, LANG: "C.UTF-8" };
  const args = ["--", "sh", "-c", script, "sh", ...command];
  const limits = { timeout: 300_000, killSignal: "SIGKILL" } as const;
  return (await promisify(execFile)("dbus-run-session", args, { env, ...limits })).stdout;
}

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

test("secrets are stored in a real Secret Service where one answers", async (t) => {
  const stdout = await inSession(t, SESSION, COMMAND);
  if (stdout === null) return;
  assert.match(stdout, /nas is stored: Secret Service/);
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
rm "$MOUNTAINEER_HOME/approvals.key"
"$@" "$MOUNTAINEER_HOME" read || exit 1
kill $keyring
exit 0
`;

test("E2 a sealed file that is removed is noticed by its key in a real Secret Service, and by the record in the home once that is cleared", async (t) => {
  const stdout = await inSession(t, SEAL, [process.execPath, join(import.meta.dirname, "programs/seal.ts")]);
  if (stdout === null) return;
  assert.deepEqual(stdout.trim().split("\n").slice(-7), [
    'read {"state":"never"} null',
    'write {"state":"sound","value":{"n":1},"note":"commands"} keyring',
    "approvals.key",
    "approvals.sealed",
    'read {"state":"missing","note":"commands"} keyring',
    'read {"state":"missing","note":""} null',
    'read {"state":"never"} null',
  ]);
});
