// `backup` and `backup restore`, with the real program: a home moves, a copy runs beside it, and neither a kill nor a
// stranger's file does harm.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmod, cp, mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { bareRoot, enteringBareRoot } from "../../../scripts/release/bare-root.ts";
import { openBackup, sealBackup } from "../../../src/daemon/backup/backup-file.ts";
import { sealedPinStore } from "../../../src/daemon/compose/pin-store.ts";
import { startPlainRig } from "../../../src/demo/stage/plain-rig.ts";
import { Grants } from "../../../src/gateway/client-sign-in/grants.ts";
import { sha256Of } from "../../../src/runtime/files/sha256.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { createSecretService } from "../../../src/secrets/keyring-linux.ts";
import type { Keyring } from "../../../src/secrets/system-keyring.ts";
import { needsNats, startMember, startNats } from "../../fleet/nats-rig.ts";
import { signIn } from "../../gateway/authorization-server/rig.ts";
import { connectLight } from "../../mcp/light-client.ts";
import { missingForRootRig } from "../../rig/root-rig.ts";
import { collect, type Ran } from "../../support/collect.ts";
import { createTestHome, type TestHome } from "../../support/daemon.ts";
import { eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/free-port.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { COMMAND, environmentOf } from "../command-line.ts";

const TERMINAL = join(import.meta.dirname, "../programs/at-a-terminal.ts");
const SERVER = join(import.meta.dirname, "../../mcp/fixtures/light-server.ts");
const PASSPHRASE = "correct horse battery";
const ROOT = join(import.meta.dirname, "../../..");

interface Run {
  readonly home: string;
  readonly answer?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Words before the command. */
  readonly within?: readonly string[];
}

/** A command of its own at what passes for a terminal. */
function atTerminal(
  args: readonly string[],
  { home, answer = "", env = {}, within = [] }: Run,
): Promise<Ran> {
  const [program = "", ...own] = [...within, ...COMMAND];
  const all = { NODE_OPTIONS: `--import=${TERMINAL}`, NODE_NO_WARNINGS: "1", ...env };
  const child = spawn(program, [...own, ...args], { env: environmentOf({ home, env: all }), cwd: "/" });
  return collect(child, answer).ended;
}

async function prepared(t: TestContext) {
  const folder = await temporaryFolder(t);
  const passphrase = ["--passphrase-file", join(folder, "passphrase")];
  await writeFile(join(folder, "passphrase"), `${PASSPHRASE}\n`);
  const file = join(folder, "home.backup");
  return { folder, file, passphrase, restore: ["backup", "restore", file, ...passphrase] };
}

/** The names of all files in a folder, with what they have. */
async function contentsOf(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((one) =>
    one.isFile(),
  );
  const paths = names
    .map((one) => join(one.parentPath, one.name))
    .filter((path) => !/lock\.(?:db|json)|\.log$/.test(path));
  const texts = await Promise.all(paths.map((path) => readFile(path, "latin1")));
  return Object.fromEntries(paths.map((path, at) => [path.slice(folder.length), texts[at] ?? ""]));
}

const configOf = (port: number): string => `[server]
port = ${port}
[trust]
approve = "all"
[backends.one]
command = "${process.execPath}"
args = ["${SERVER}"]
env = { LIGHT_PREFIX = "one_", TOKEN = "secret:tok" }
[backends.two]
command = "${process.execPath}"
args = ["${SERVER}"]
env = { LIGHT_PREFIX = "two_" }
`;

/** The status of a call in a session that another daemon began. */
async function goesOn(port: number, token: string, session: string): Promise<number> {
  const headers = {
    authorization: `Bearer ${token}`,
    "mcp-session-id": session,
    "content-type": "application/json",
  };
  const body = JSON.stringify({ jsonrpc: "2.0", id: 9, method: "tools/list" });
  const accept = "application/json, text/event-stream";
  const version = { "mcp-protocol-version": "2025-11-25" };
  const sent = { method: "POST", headers: { ...headers, ...version, accept }, body };
  const answer = await fetch(`http://127.0.0.1:${port}/mcp`, sent);
  await answer.text();
  return answer.status;
}

const grantsOf = async (home: string, keyring: Keyring | null = null): Promise<Grants> => {
  const sealed = sealedPinStore({ home, clock: systemClock, environment: {}, keyring }, true, "grants");
  const exists = async (): Promise<boolean> => (await readdir(home)).includes("grants.sealed");
  const store = {
    read: sealed.read,
    write: sealed.write,
    exists,
    secret: async () => (await sealed.secret?.()) ?? null,
  };
  const grants = new Grants({ clock: systemClock, logger: noopLogger, store });
  grants.isOfUser = () => true;
  await grants.load();
  return grants;
};

const GIVEN = {
  user: "ann",
  entry: "e",
  client: { id_sha256: sha256Of("phone"), name: "Phone", answers_to: "https://phone.example" },
  resource: "http://127.0.0.1/mcp",
  backends: null,
  read_only: false,
};

/** The values by name, of a home whose secrets are in its file. */
async function secretsOf(home: string): Promise<Record<string, string>> {
  const { secrets } = JSON.parse(await readFile(join(home, "secrets.json"), "utf8"));
  const entries = Object.entries(secrets as Record<string, { value: string }>);
  return Object.fromEntries(entries.map(([name, { value }]) => [name, value]));
}

/** In a bare system, as a user who is new there: restores, starts, and shows what runs. */
const MOVE_IN = `set -eu
useradd --create-home bea
cd /home/bea
head -c "$1" >home.backup
echo "$2" >passphrase
setpriv --reuid=bea --regid=bea --clear-groups env HOME=/home/bea NODE_NO_WARNINGS=1 sh -euc '
NODE_OPTIONS=--import=$1 $0 backup restore home.backup --passphrase-file passphrase
$0 monitor &
until cat .mountaineer/s/CORE/kept; do sleep 0.2; done
until $0 status | grep "two .*Ready"; do sleep 0.2; done
$0 config history
$0 approve --list
wait' "$3" "$4"
`;

test("F8 a home moves to another user of a bare system with all it has, and a copy runs beside it", {
  skip: missingForRootRig() ?? false,
}, async (t) => {
  const { folder, file, passphrase, restore } = await prepared(t);
  await using nas = await startPlainRig({ shares: ["CORE"], password: "a secret" });
  await writeFile(join(nas.exportPath("CORE"), "kept"), "on the NAS");
  const port = await freePort();
  const homeAt = (name: string): Promise<TestHome> =>
    createTestHome({ home: join(folder, name), env: { HOME: folder } });
  const old = await homeAt("old");
  await old.writeConfig(
    `${configOf(port)}[global]\nshares_root = "${old.home}/s"\n[[shares]]\nname = "CORE"\n` +
      `username = "${nas.username}"\npassword = "secret:tok"\n` +
      `thunderbolt_host = "${nas.tbHost}:${nas.tbPort}"\nfallback_host = "${nas.fallbackHost}:${nas.fallbackPort}"\n`,
  );
  await chmod(old.home, 0o700);
  await writeFile(join(folder, "tok"), "a secret");
  await old.cli(["secret", "set", "tok", "--file", join(folder, "tok")]);
  for (const name of ["ann", "ben", "cid"]) await old.cli(["users", "add", name, "-y"]);
  const { "ann-token": token = "" } = await secretsOf(old.home);
  await using daemon = await old.startMonitor();
  await eventually(
    async () => ((await old.glance())?.backends ?? []).filter(({ phase }) => phase === "Ready").length === 2,
  );
  const approve = ["clients", "approve", "--as", "ann"];
  const phone = await signIn({ port }, (code) =>
    atTerminal([...approve, code], { home: old.home, answer: "y\n" }),
  );
  const sessionOf = async (as: string): Promise<string> =>
    (await connectLight(`http://127.0.0.1:${port}/mcp`, { token: as })).sessionId ?? "";
  const [session, ofPhone] = [await sessionOf(token), await sessionOf(phone.access)];
  await old.untilShare("CORE", ({ mount_alive: isMounted }) => isMounted, 20_000);

  // It is backed up while it changes all the time.
  const changing = new AbortController();
  const changes = (async () => {
    for (let at = 0; !changing.signal.aborted; at += 1) {
      await old.cli(["config", "set", "sync.debounce", `0.${(at % 8) + 1}`]);
      await old.cli(["secret", "set", `spare-${at % 3}`, "--file", join(folder, "tok")]);
    }
  })();
  const backups = [];
  for (let at = 0; at < 3; at += 1) backups.push(await old.cli(["backup", file, ...passphrase]));
  changing.abort();
  await changes;
  for (const { code, stderr } of backups) assert.deepEqual([code, stderr], [0, ""]);
  const bytes = await readFile(file, "latin1");
  for (const text of ["a secret", token, "light-server", "ann"]) assert.ok(!bytes.includes(text), text);
  assert.equal((await stat(file)).mode & 0o777, 0o600);

  const config = await readFile(old.configFile, "utf8");
  await old.writeConfig("[[[");
  const last = await old.cli(["backup", file, "--stop", ...passphrase]);
  assert.equal(last.code, 0, last.stderr);
  assert.match(last.stderr, /not used: the backup has what was accepted at/);
  assert.equal((await daemon.ended).code, 0);
  await old.writeConfig(config);
  await assert.rejects(old.startMonitor(), /was moved with the backup/);
  assert.equal((await old.cli(["unmount"])).code, 0);

  const bare = await bareRoot("bookworm", ["ca-certificates", "fuse3", "git", "samba"]);
  const backup = await readFile(file);
  const words = [String(backup.length), PASSPHRASE, join(ROOT, "bin/mountaineer"), TERMINAL];
  const machine = { folder: ROOT, at: ROOT, devices: "fuse" } as const;
  const child = spawn("unshare", enteringBareRoot(bare, machine, ["sh", "-c", MOVE_IN, "sh", ...words]));
  const { ended, stdout, stderr } = collect(child, Buffer.concat([backup, Buffer.from("move\n")]));
  await using ends = new AsyncDisposableStack();
  ends.defer(async () => void (child.kill("SIGKILL") && (await ended)));
  await eventually(
    () => /on the NAS.*found in the file.*nothing waits for approval/s.test(stdout()),
    30_000,
  ).catch(() => assert.fail(stdout() + stderr()));
  for (const text of ["backends.one:", "light-server.ts", "the user cid", "A Client for ann", `made `])
    assert.ok(stderr().includes(text), `${text}\n${stderr()}`);
  const renewed = await phone.client.refresh({ client_id: phone.id, refresh_token: phone.refresh });
  for (const [as, id] of [
    [token, session],
    [phone.access, ofPhone],
    [renewed.body["access_token"] ?? "", ofPhone],
  ] as const)
    assert.equal(await goesOn(port, as, id), 200, "the session goes on");

  const copy = await homeAt("copy");
  const toCopy = await atTerminal(restore, { home: copy.home, answer: "copy\n", env: { HOME: folder } });
  assert.equal(toCopy.code, 0, toCopy.stderr);
  assert.match(toCopy.stderr, new RegExp(`port ${port} of 127.0.0.1: another program has it`));
  assert.match(toCopy.stdout, /A Client for ann: sign in again/);
  const names = await readdir(copy.home);
  for (const name of ["session.key", "grants.sealed", "sign-in", "fleet"])
    assert.ok(!names.includes(name), name);
  const own = await freePort();
  await copy.writeConfig((await readFile(copy.configFile, "utf8")).replace(String(port), String(own)));
  await using beside = await copy.startMonitor(["--unmount-on-exit"]);
  await eventually(async () => (await copy.glance())?.global.pid === beside.pid);
  await copy.cli(["approve", "--yes"]);
  await eventually(async () => (await goesOn(own, token, session)) === 404);
  assert.equal(await goesOn(port, token, session), 200);
});

test(
  "F8 a share and the place in a fleet move, and a copy next to the living home disturbs neither",
  needsNats,
  async (t) => {
    const { folder, file, passphrase, restore } = await prepared(t);
    const nats = await startNats(t);
    const watcher = startMember(t, nats, "nas");
    const env = { HOME: folder };
    const at = (name: string) => createTestHome({ home: join(folder, name), env });
    const old = await at("old");
    for (const route of ["tb", "fallback"]) await mkdir(join(folder, route));
    await old.writeConfig(
      `[global]\nshares_root = "${old.home}/s"\n[[shares]]\nname = "CORE"\ndriver = "local"\n` +
        `thunderbolt_path = "${folder}/tb"\nfallback_path = "${folder}/fallback"\n` +
        `[fleet]\nname = "laptop"\nservers = ["${nats.url}"]\ncredentials = "secret:fleet"\n`,
    );
    await writeFile(join(folder, "tok"), nats.key("laptop").seed);
    await old.cli(["secret", "set", "fleet", "--file", join(folder, "tok")]);
    const isSeen = (home: TestHome) =>
      eventually(async () => {
        const { presence, state, problem } = watcher.sees("laptop");
        assert.deepEqual([presence, state?.shares[0]?.route, problem], ["here", "tb", null]);
        return (await home.shareStatus("CORE")).mount_alive;
      });
    const conditions = async (home: TestHome) =>
      ((await home.glance())?.global.conditions ?? []).map(({ code }) => code);
    await using living = await old.startMonitor();
    await isSeen(old);
    assert.equal((await old.cli(["backup", file, ...passphrase])).code, 0);

    const copy = await at("copy");
    const copied = await atTerminal(restore, { home: copy.home, answer: "copy\n", env });
    assert.match(copied.stderr, /the place of laptop in its fleet; a copy does not get its key/);
    assert.match(copied.stdout, /another \[fleet\]\.name than laptop, then: mountaineer fleet key/);
    assert.ok(!(await readdir(copy.home)).includes("secrets.json"));
    await using next = await copy.startMonitor();
    await copy.untilShare("CORE", ({ mount_alive: isMounted }) => isMounted, 0);
    await eventually(async () => (await conditions(copy)).includes("fleet_unreachable"));
    await isSeen(old);
    assert.ok(!(await conditions(old)).some((code) => code.startsWith("fleet")));
    await next.stop();

    assert.equal((await old.cli(["backup", file, "--stop", ...passphrase])).code, 0);
    await living.ended;
    const moved = await at("moved");
    assert.equal((await atTerminal(restore, { home: moved.home, answer: "move\n", env })).code, 0);
    await using _third = await moved.startMonitor();
    await isSeen(moved);
  },
);

/** A stopped home with approvals, users and a secret. */
async function quietHome(folder: string, name: string, program: string): Promise<TestHome> {
  const config = `[trust]\napprove = "all"\n[backends.one]\ncommand = "${program}"\n`;
  const home = await createTestHome({ home: join(folder, name), config, env: { HOME: folder } });
  await chmod(home.home, 0o700);
  await writeFile(join(folder, "tok"), `of ${name}`);
  await home.cli(["secret", "set", "tok", "--file", join(folder, "tok")]);
  await (await grantsOf(home.home)).begin({ ...GIVEN, user: name });
  return home;
}

test("F8 a backup or restore that is killed at any moment leaves the old file and home, or the new ones", async (t) => {
  const { folder, file, passphrase, restore } = await prepared(t);
  const first = await quietHome(folder, "first", "/bin/cat");
  assert.equal((await first.cli(["backup", file, ...passphrase])).code, 0);
  const before = await readFile(file, "latin1");
  for (let at = 1; ; at += 1) {
    const env = { DIES_AT: String(at) };
    const { code } = await atTerminal(["backup", file, ...passphrase], { home: first.home, env });
    const after = await readFile(file, "latin1");
    if (code === 0) break;
    // After its rename the home notes the time.
    if (after !== before) await openBackup(Buffer.from(after, "latin1"), PASSPHRASE);
  }
  const second = await quietHome(folder, "second", "/bin/true");
  const untouched = await contentsOf(second.home);
  const kill = async (at: number): Promise<boolean> => {
    const top = join(folder, `at-${at}`);
    const home = join(top, "home");
    await mkdir(top);
    await cp(second.home, home, { recursive: true });
    const env = { DIES_AT: String(at) };
    const { code } = await atTerminal([...restore, "--replace"], { home, answer: "move\n", env });
    const next = await createTestHome({ home, env: { HOME: folder } });
    const listed = await next.cli(["approve", "--list"]);
    assert.equal(listed.code, 0, `${at}: ${listed.stderr}`);
    const { tok } = await secretsOf(home);
    const [grant] = (await grantsOf(home)).list;
    if (tok === "of second") assert.deepEqual(await contentsOf(home), untouched, `killed at ${at}`);
    else assert.match(await readFile(next.configFile, "utf8"), /bin\/cat/, `killed at ${at}`);
    assert.equal(`of ${grant?.user}`, tok, `killed at ${at}`);
    // The next restore removes an unfinished note.
    const isKnown = /^home(?:\.before-.*)?$|^\.home\.restore\.json\..*\.tmp$/;
    const left = (await readdir(top)).filter((name) => !isKnown.test(name));
    assert.deepEqual(left, [], `killed at ${at}`);
    return code !== 0;
  };
  const others = { pid: 2 ** 30, startTime: "0", staging: "..", aside: "x", forgets: [] };
  await writeFile(`${second.home}.restore.json`, JSON.stringify(others));
  await second.cli(["approve", "--list"]);
  assert.deepEqual(await contentsOf(second.home), untouched);
  let at = 1;
  while ((await Promise.all([kill(at), kill(at + 1), kill(at + 2)])).every(Boolean)) at += 3;
  assert.ok(at >= 20, `it was killed at ${at} moments`);
});

test("F8 a restore names what a person ended since the backup, also a token that was renewed", async (t) => {
  const { folder, file, passphrase, restore } = await prepared(t);
  const { home, cli } = await quietHome(folder, "home", "/bin/cat");
  await writeFile(join(home, "session.key"), "of this home");
  for (const name of ["ann", "ben", "cid"]) await cli(["users", "add", name, "-y"]);
  const renewOwner = (token: string): Promise<void> =>
    writeFile(join(home, "management.json"), JSON.stringify({ token_sha256: sha256Of(token) }));
  await renewOwner("first");
  await cli(["users", "renew", "cid", "--overlap", "24"]);
  assert.equal((await cli(["backup", file, ...passphrase])).code, 0);
  const ended = async (): Promise<readonly string[]> => {
    const { stderr } = await atTerminal([...restore, "--replace"], { home, answer: "no\n" });
    assert.ok(!stderr.includes("whatever was ended"), stderr);
    return /Was ended since.*\n((?: {2}.*\n)+)/.exec(stderr)?.[1]?.trim().split(/\n */) ?? [];
  };
  assert.deepEqual(await ended(), []);
  for (const name of ["ann", "cid"]) await cli(["users", "renew", name, "--overlap", "0"]);
  await cli(["users", "remove", "ben"]);
  await renewOwner("second");
  const of = (name: string): string => `the token of ${name}`;
  const earlier = "the earlier token of cid";
  assert.deepEqual(await ended(), [...["ann", "ben", "cid"].map(of), earlier, "the management token"]);
});

test("F8 a damaged home is replaced too, and a passphrase is what a person can type again", async (t) => {
  const { folder, file, passphrase, restore } = await prepared(t);
  const { home, configFile, cli } = await quietHome(folder, "home", "/bin/cat");
  assert.equal((await cli(["backup", file, ...passphrase])).code, 0);
  const damages: readonly (() => Promise<unknown>)[] = [
    () => rm(configFile),
    () => writeFile(configFile, "[[["),
    () => writeFile(join(home, "secrets.json"), "x"),
    () => mkdir(join(home, "history/0000000009-0a1b2c3d.entry"), { recursive: true }),
  ];
  for (const damage of damages) {
    await damage();
    const { code, stderr } = await atTerminal([...restore, "--replace"], { home, answer: "move\n" });
    assert.equal(code, 0, `${damage}: ${stderr}`);
    assert.match(stderr, /whatever was ended after .* is back/, "what the home was is not known");
    assert.deepEqual(await secretsOf(home), { tok: "of home" });
  }
  const typed = "grün und länger";
  const other = ["--passphrase-file", join(folder, "other")];
  for (const [text, code] of [
    ["too short", 2],
    ["one line\nand another", 2],
    ["with an escape \x1b[A", 2],
    [Buffer.from(typed, "latin1"), 2],
    [Buffer.from(`\ufeff${typed}`, "utf16le"), 2],
    [`\ufeff${typed}\r\n`, 0],
  ] as const) {
    await writeFile(join(folder, "other"), text);
    assert.equal((await cli(["backup", file, ...other])).code, code, String(text));
  }
  await openBackup(await readFile(file), typed.normalize("NFD"));
  await rm(configFile);
  assert.match((await cli(["backup", file, ...passphrase])).stderr, /there is no file at .*config\.toml/);
});

/** A backup of a stranger's making. */
async function forged(file: string, files: Readonly<Record<string, string>>): Promise<void> {
  const content = {
    ...{ time: new Date().toISOString(), machine: "m", version: "1", config: "/h/config.toml" },
    context: { home: "/h", userHome: "/", userName: "ann", defaultMountRoot: "/h/volumes" },
    files: Object.entries(files).map(([path, text]) => ({
      path,
      content: Buffer.from(text).toString("base64"),
    })),
  };
  await writeFile(file, sealBackup([Buffer.from(JSON.stringify(content))], PASSPHRASE));
}

test("F8 nothing of a stranger's backup runs or is written before the person has answered", async (t) => {
  const { folder, file, passphrase, restore } = await prepared(t);
  const mark = join(folder, "ran");
  const victim = join(folder, "victim");
  await mkdir(victim, { mode: 0o700 });
  const evil = await quietHome(folder, "evil", "/usr/bin/touch");
  await evil.writeConfig(
    `[backends.one]\ncommand = "/usr/bin/touch"\nargs = ["${mark}"]\n[server]\nport = ${await freePort()}\n`,
  );
  assert.equal((await evil.cli(["backup", file, ...passphrase])).code, 0);
  await writeFile(join(victim, "thesis.txt"), "");
  const notEmpty = await atTerminal(restore, { home: victim, answer: "move\n" });
  assert.match(notEmpty.stderr, /is not empty/);
  await rm(join(victim, "thesis.txt"));
  if (missingForRootRig() === null) {
    const within = ["unshare", "-m", "sh", "-c", `mount --bind '${victim}' '${victim}' && exec "$@"`, "sh"];
    const mounted = await atTerminal([...restore, "--replace"], { home: victim, answer: "move\n", within });
    assert.match(mounted.stderr, /is a mount point, which nothing can replace/);
  }
  const piped = await createTestHome({ home: victim, env: { HOME: folder } });
  const refused = await piped.cli(restore);
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /asks at a terminal/);
  for (const answer of ["no\n", "\n", ""]) {
    const { code, stderr } = await atTerminal(restore, { home: victim, answer });
    assert.notEqual(code, 0);
    assert.ok(stderr.includes("/usr/bin/touch") && stderr.includes(mark), stderr);
    assert.deepEqual(await readdir(victim), []);
  }
  // Approvals that say other than the file: what is approved would run, so it is what is shown.
  const whole = {
    name: "one",
    connection: { type: "stdio", command: "/bin/hidden", args: [], env: {}, cwd: "/" },
  };
  const config =
    '[trust]\napprove = "all"\n[backends.one]\ncommand = "/bin/cat"\n[backends.off]\nenabled = false\ncommand = "/bin/cat"\n';
  const forge = async (entries: object): Promise<void> => {
    const value = { form: "whole entries", mode: "all", entries, order: [] };
    const sealed = JSON.stringify({ value, note: "all", key: null });
    await forged(file, { "config.toml": config, "approvals.sealed": sealed });
  };
  const shownOnly = { ...whole.connection, command: "/bin/cat" };
  for (const other of [{ ...whole, routes: [{ name: "a", connection: shownOnly }] }, { routes: [1] }]) {
    await forge({ "backends.one": { state: "runs", whole: other } });
    const foreign = await atTerminal(restore, { home: victim, answer: "move\n" });
    assert.equal(foreign.code, 3);
    assert.match(foreign.stderr, /foreign: its approvals/);
  }
  await forge({
    "backends.one": { state: "runs", whole },
    "backends.two": { state: "gone", whole },
    "backends.off": { state: "runs", whole },
  });
  const shown = await atTerminal(restore, { home: victim, answer: "move\n" });
  assert.equal(shown.code, 0, shown.stderr);
  assert.match(shown.stderr, /command = "\/bin\/hidden"/);
  const approvals = await readFile(join(victim, "approvals.sealed"), "utf8");
  assert.ok(!approvals.includes("backends.two"));
  assert.match(approvals, /"backends\.off": \{\s+"state": "off"/);
  assert.ok(!(await readdir(folder)).includes("ran"));
});

test("F8 no earlier version that a stranger's backup brings runs unless it was shown", async (t) => {
  const { folder, file, restore } = await prepared(t);
  const mark = join(folder, "ran");
  const shown = "[global]\nlsof_recheck = true";
  const evil = `[trust]\napprove = "none"\n[backends.one]\ncommand = "/usr/bin/touch"\nargs = ["${mark}"]\n`;
  // What runs looks like half of the second one.
  for (const hidden of [`${shown}\n${evil}`, `${shown} # for open files\n${evil}`]) {
    const about = { time: "2026-01-01T00:00:00Z", source: "start", summary: "", format: "toml" };
    const header = { ...about, sha256: sha256Of(hidden), length: hidden.length, path: "/h/config.toml" };
    const entry = `${JSON.stringify(header)}\n${hidden}`;
    await forged(file, { "config.toml": shown, "history/0000000001-0a1b2c3d.entry": entry });
    const victim = await createTestHome({ home: await temporaryFolder(t), env: { HOME: folder } });
    const { code, stderr } = await atTerminal(restore, { home: victim.home, answer: "move\n" });
    assert.equal(code, 0, stderr);
    assert.match(stderr, /1 earlier version of the configuration, each shown before you go back to it/);
    assert.ok(!stderr.includes("touch"));
    const started = await victim.startMonitor().catch(() => null);
    const back = await victim.cli(["config", "rollback", started === null ? "0" : "1", "--yes"]);
    assert.match(back.stderr, /came with a backup, and was not shown yet/);
    await started?.stop();
    assert.equal(started === null, hidden.includes("#"));
    assert.ok(!(await readdir(folder)).includes("ran"), "it ran");
  }
});

test("F8 of a long list the screen has some dozens and a file has all, and a restore that fails leaves nothing", async (t) => {
  const { folder, file, restore } = await prepared(t);
  const [tmp, home] = [join(folder, "tmp"), join(folder, "home")];
  await mkdir(tmp);
  const users = Array.from(
    { length: 5_000 },
    (_, at) => `[[incoming_auth.users]]\nname = "u${at}"\ntoken = "secret:t${at}"\n`,
  );
  const config = `[backends.one]\ncommand = "/bin/cat"\n[incoming_auth]\ntype = "local"\n${users.join("")}`;
  await forged(file, { "config.toml": config });
  const env = { TMPDIR: tmp };
  // A question without an answer, in whose place the file is read.
  const [program = "", ...own] = COMMAND;
  const all = environmentOf({
    home,
    env: { ...env, NODE_OPTIONS: `--import=${TERMINAL}`, NODE_NO_WARNINGS: "1" },
  });
  const child = spawn(program, [...own, ...restore], { env: all, cwd: "/" });
  const asking = collect(child);
  const whole = await eventually(() => /all of it is in (\S+)/.exec(asking.stderr())?.[1]);
  const [screen, text] = [asking.stderr(), await readFile(whole, "utf8")];
  assert.equal((await stat(whole)).mode & 0o777, 0o600);
  assert.ok(
    screen.split("\n").length < 300 && screen.includes('command = "/bin/cat"'),
    screen.slice(0, 2_000),
  );
  assert.match(screen, /and 49\d\d more/);
  for (const one of ["u0", "u2500", "u4999"]) assert.ok(text.includes(`the user ${one}\n`), one);
  child.stdin?.end("no\n");
  assert.equal((await asking.ended).code, 1);
  assert.deepEqual(await readdir(tmp), []);

  // The disk takes no file of more than 64 KB.
  const within = ["sh", "-c", 'ulimit -f 64; trap "" XFSZ; exec "$@"', "sh"];
  const failed = await atTerminal(restore, { home, answer: "move\n", env, within });
  assert.notEqual(failed.code, 0);
  assert.deepEqual((await readdir(folder)).toSorted(), ["home.backup", "passphrase", "tmp"]);
});

test("F8 secrets of a keyring are in the backup; a keyring that does not answer leaves no file", async (t) => {
  const { folder, file, passphrase } = await prepared(t);
  const bin = join(folder, "bin");
  const says = async (text: string): Promise<void> => {
    const program = join(import.meta.dirname, "../../secrets/programs/secret-tool");
    await mkdir(bin, { recursive: true });
    const script = `#!/bin/sh\nSTAND_IN_FOLDER='${bin}' STAND_IN_SAYS='${text}' exec '${program}' "$@"\n`;
    await writeFile(join(bin, "secret-tool"), script, { mode: 0o755 });
  };
  await says("");
  const env = {
    PATH: `${bin}:${process.env["PATH"]}`,
    DBUS_SESSION_BUS_ADDRESS: `unix:path=${bin}`,
    HOME: folder,
  };
  const home = await createTestHome({ home: join(folder, "home"), config: "", env });
  await writeFile(join(folder, "tok"), "in the keyring");
  const run = (...args: string[]) => atTerminal(args, { home: home.home, env });
  assert.equal((await run("secret", "set", "tok", "--file", join(folder, "tok"))).code, 0);
  assert.ok(!(await readFile(join(home.home, "secrets.json"), "utf8")).includes("in the keyring"));
  assert.equal((await run("backup", file, ...passphrase)).code, 0);
  const other = join(folder, "other");
  const args = ["backup", "restore", file, ...passphrase];
  const restored = await atTerminal(args, { home: other, answer: "move\n", env });
  assert.equal(restored.code, 0, restored.stderr);
  assert.match(await readFile(join(other, "secrets.json"), "utf8"), /"kept": "secret-service"/);
  const bare = await atTerminal(args, { home: join(folder, "bare"), answer: "move\n" });
  assert.match(bare.stdout, /its secrets are in a private file of the home/);
  assert.deepEqual(await secretsOf(join(folder, "bare")), { tok: "in the keyring" });

  // The home that is replaced can be put back, with its grants.
  const { PATH } = process.env;
  process.env["PATH"] = env.PATH;
  t.after(() => {
    process.env["PATH"] = PATH;
  });
  const inKeyring = async (): Promise<readonly unknown[]> => {
    const keyring = createSecretService({ home: home.home, clock: systemClock, environment: env });
    const found = await sealedPinStore(
      { home: home.home, clock: systemClock, environment: env, keyring },
      true,
      "grants",
    ).read();
    return found.kind === "stored" ? [found.value] : [];
  };
  const grants = await grantsOf(
    home.home,
    createSecretService({ home: home.home, clock: systemClock, environment: env }),
  );
  await grants.begin({ ...GIVEN, user: "before" });
  const before = await inKeyring();
  assert.equal(before.length, 1);
  const replaced = await atTerminal([...args, "--replace"], { home: home.home, answer: "move\n", env });
  const [, aside = ""] = /the home before is (\S+); put back/.exec(replaced.stdout) ?? [];
  assert.deepEqual(await inKeyring(), []);
  await rm(home.home, { recursive: true });
  await rename(aside, home.home);
  assert.deepEqual(await inKeyring(), before);

  await says("locked");
  const later = join(folder, "later.backup");
  const failed = await run("backup", later, ...passphrase);
  assert.equal(failed.code, 1);
  assert.ok(!(await readdir(folder)).includes("later.backup"));
});
