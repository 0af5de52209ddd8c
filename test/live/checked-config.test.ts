// The built daemon starts again on a home where the checked configuration is stored: what runs and who is served are
// the same as if the file had been read.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { copyFile, cp, link, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { type TestContext, test } from "node:test";
import { currentBuild } from "../../scripts/current-build.ts";
import { objectOf } from "../../src/runtime/text/json-object.ts";
import { decryptText, encryptText } from "../../src/secrets/encrypted-files.ts";
import { post } from "../gateway/client-sign-in/signed-gateway.ts";
import { createTestHome, type Monitor, type TestHome } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const TOOLS_SERVER = join(ROOT, "test/docs/programs/tools-server.mjs");
const OWN = { ANN: "anns-token", FIRST: "key-of-first" };

const linesOf = async (file: string): Promise<string[]> =>
  existsSync(file) ? (await readFile(file, "utf8")).trim().split("\n") : [];

/** A package with the built program, whose reader of the configuration writes a line to `reads`. */
async function packageIn(root: string, reads: string) {
  const build = currentBuild(ROOT);
  assert.ok(build !== null);
  const dist = join(root, "dist");
  const copy = join(dist, basename(build));
  await mkdir(dist, { recursive: true });
  await cp(join(ROOT, "bin"), join(root, "bin"), { recursive: true });
  await cp(build, copy, { recursive: true });
  const reader = join(copy, "load-child.js");
  const counts = `process.getBuiltinModule("node:fs").appendFileSync(${JSON.stringify(reads)}, "read\\n");\n`;
  await writeFile(reader, `${counts}${await readFile(reader, "utf8")}`);
  await writeFile(join(dist, "current"), `${basename(build)}\n`);
  const node = join(dist, "node");
  await link(process.execPath, node).catch(() => cp(process.execPath, node));
  return join(root, "bin/mountaineer");
}

type Started = Awaited<ReturnType<Awaited<ReturnType<typeof scene>>["start"]>>;

async function scene(t: TestContext) {
  const folder = await temporaryFolder(t);
  const [home, reads, ran] = ["home", "reads", "ran"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  const launcher = await packageIn(join(folder, "package"), reads);
  const server = join(folder, "server.mjs");
  const writes = `appendFileSync(${JSON.stringify(ran)}, \`\${process.argv[2]} \${process.env.KEY}\\n\`);`;
  const serves = `await import(${JSON.stringify(TOOLS_SERVER)});`;
  await writeFile(server, `import { appendFileSync } from "node:fs";\n${writes}\n${serves}\n`);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/mcp`;
  const backend = (name: string): string =>
    `[backends.${name}]\ncommand = ${JSON.stringify(process.execPath)}\nargs = [${JSON.stringify(server)}, "${name}"]\nenv = { KEY = "\${FIRST}" }\n`;
  const text = (...more: readonly string[]): string =>
    `[trust]\napprove = "commands"\n[server]\nport = ${port}\n[incoming_auth]\ntype = "local"\n[[incoming_auth.users]]\nname = "ann"\ntoken = "\${ANN}"\n${["first", ...more].map(backend).join("")}`;
  const sealedFile = join(home, "checked.sealed");
  let running: Monitor | null = null;
  t.after(async () => running?.[Symbol.asyncDispose]());

  /** Starts the daemon, and sends requests without a token from before it listens until `until` holds. */
  const start = async (until: (at: TestHome) => Promise<unknown>, env: typeof OWN = OWN) => {
    const options = { home, launcher, env: { ...env, DBUS_SESSION_BUS_ADDRESS: "" } };
    const at = await createTestHome(options);
    const before = [await linesOf(reads), await linesOf(ran)] as const;
    const statuses = new Set<number>();
    const ending = new AbortController();
    const stranger = (async () => {
      while (!ending.signal.aborted) {
        const answer = await post(url, null).catch(() => null);
        if (answer !== null) statuses.add(answer.status);
        await new Promise((next) => setTimeout(next, 2));
      }
    })();
    try {
      running = await at.startMonitor();
      await eventually(() => until(at), 15_000);
      await eventually(() => statuses.size > 0);
    } finally {
      ending.abort();
      await stranger;
    }
    assert.deepEqual([...statuses], [401], "no request without a token is ever served");
    const [readBefore, ranBefore] = before;
    return {
      at,
      reads: (await linesOf(reads)).length - readBefore.length,
      ran: (await linesOf(ran)).slice(ranBefore.length).toSorted(),
      statusFor: async (token: string): Promise<number> => (await post(url, token)).status,
    };
  };
  const stop = async (): Promise<void> => void (await running?.stop());
  await mkdir(home, { mode: 0o700 });
  const configFile = join(home, "config.toml");
  await writeFile(configFile, text(), { mode: 0o600 });
  const first = await start(runs("first"));
  assert.ok(first.reads > 0);
  await eventually(() => existsSync(sealedFile));
  /** The stored configuration is not the file `older`. */
  const untilStored = (older: string): Promise<unknown> =>
    eventually(async () => !(await readFile(sealedFile)).equals(await readFile(older)));
  return { home, configFile, sealedFile, text, start, stop, untilStored };
}

/** Exactly these servers run. */
function runs(...names: readonly string[]) {
  return async ({ glance }: TestHome): Promise<boolean> => {
    const running = ((await glance())?.backends ?? []).filter(({ phase }) => phase === "Ready");
    return running.map(({ name }) => name).join() === names.join();
  };
}

function hasCondition(code: string) {
  return async (at: TestHome): Promise<boolean> =>
    (await at.glance())?.global.conditions.some((one) => one.code === code) === true;
}

async function replaceStored(
  { home, sealedFile }: { readonly home: string; readonly sealedFile: string },
  change: (stored: string) => string,
  sealingKey: string | null = null,
): Promise<void> {
  const own = String(objectOf(JSON.parse(await readFile(join(home, "checked.key"), "utf8")))["key"]);
  const fileKey = (key: string): Buffer => Buffer.from(key, "hex");
  const stored = decryptText("checked", await readFile(sealedFile, "utf8"), fileKey(own));
  const changed = change(stored);
  assert.notEqual(changed, stored);
  await writeFile(sealedFile, encryptText("checked", changed, fileKey(sealingKey ?? own)));
}

/** Another server in the place of the first one. */
const withEvil = (stored: string): string =>
  stored
    .replace(/"args":\[("[^"]*"),"first"\]/, '"args":[$1,"evil"]')
    .replace('"name":"first"', '"name":"evil"');

function isSame({ reads, ran }: Started): void {
  assert.equal(reads, 0);
  assert.deepEqual(ran, [`first ${OWN.FIRST}`]);
}

test("D6 a daemon on an unchanged file starts no reader, and serves the same behind the same sign-in", async (t) => {
  const { start, stop, sealedFile } = await scene(t);
  assert.equal((await stat(sealedFile)).mode & 0o777, 0o600);
  const text = await readFile(sealedFile, "latin1");
  for (const secret of [OWN.ANN, OWN.FIRST, "tools-server", "first"])
    assert.ok(!text.includes(secret), secret);
  await stop();
  const again = await start(runs("first"));
  isSame(again);
  assert.deepEqual([await again.statusFor(OWN.ANN), await again.statusFor("another")], [200, 401]);
});

test("D6 E2 a forged configuration starts nothing: the file is read, and its server and its sign-in apply", async (t) => {
  const at = await scene(t);
  await at.stop();
  const open = (stored: string): string =>
    withEvil(stored).replace(/"incomingAuth":\{[^}]*\}/, '"incomingAuth":{}');
  await replaceStored(at, open, "0b".repeat(32));
  const { reads, ran } = await at.start(runs("first"));
  assert.ok(reads > 0);
  assert.deepEqual(ran, [`first ${OWN.FIRST}`]);
});

test("D6 E2 a server that only the stored configuration names, sealed with the home's key, waits for approval", async (t) => {
  const at = await scene(t);
  await at.stop();
  await replaceStored(at, withEvil);
  const { ran } = await at.start(hasCondition("waiting_for_approval"));
  assert.deepEqual(ran, []);
});

test("D6 E2 a server that was added while no daemon ran waits for approval, also once its file is stored", async (t) => {
  const at = await scene(t);
  const older = join(at.home, "..", "older");
  await copyFile(at.sealedFile, older);
  await at.stop();
  await writeFile(at.configFile, at.text("second"));
  const waits = async (home: TestHome): Promise<boolean> =>
    (await hasCondition("waiting_for_approval")(home)) && (await runs("first")(home));
  const changed = await at.start(waits);
  assert.ok(changed.reads > 0);
  assert.deepEqual(changed.ran, [`first ${OWN.FIRST}`]);
  await at.untilStored(older);
  await at.stop();
  isSame(await at.start(waits));
});

test("D6 E5 secrets that changed while no daemon ran apply at a start that reads no file", async (t) => {
  const at = await scene(t);
  await at.stop();
  const { reads, ran, statusFor } = await at.start(runs("first"), {
    ANN: "anns-new-token",
    FIRST: "new-key",
  });
  assert.equal(reads, 0);
  assert.deepEqual(ran, ["first new-key"]);
  assert.deepEqual([await statusFor(OWN.ANN), await statusFor("anns-new-token")], [401, 200]);
});

test("D6 B12 half a file does not run, as before, and the stored configuration serves the whole one again", async (t) => {
  const at = await scene(t);
  await at.stop();
  const whole = at.text();
  await writeFile(at.configFile, whole.slice(0, whole.indexOf("[incoming_auth]") + 5));
  const half = await at.start(
    async (home) => (await hasCondition("config_cut_short")(home)) && runs("first")(home),
  );
  assert.ok(half.reads > 0);
  assert.deepEqual(half.ran, [`first ${OWN.FIRST}`]);
  await at.stop();
  await writeFile(at.configFile, whole);
  isSame(await at.start(runs("first")));
});
