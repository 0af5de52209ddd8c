// Connecting a client for the page: shown first, written once exactly that was agreed to, and put back.
import assert from "node:assert/strict";
import { mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { OWNER_RIGHTS } from "../../../src/api/operations/operation.ts";
import { CLIENTS } from "../../../src/clients/client.ts";
import { planConnection, planDiff, writePlan } from "../../../src/clients/connection-plan.ts";
import { openBackendSignIn } from "../../../src/daemon/backend-sign-in.ts";
import { openHomeSecrets } from "../../../src/daemon/compose/home-secrets.ts";
import { createClientConnections } from "../../../src/daemon/control/client-connections.ts";
import { createLoginControl } from "../../../src/daemon/control/login-control.ts";
import { sampleEdit } from "../../api/sample-config.ts";
import { gatewayReport, sampleBackend } from "../../api/sample-gateway.ts";
import { agree } from "../../gateway/backends/server-sign-in/authorization-server.ts";
import { startSignInRig } from "../../gateway/backends/server-sign-in/sign-in-rig.ts";
import { pluck } from "../../support/pluck.ts";
import { type Scope, temporaryFolder } from "../../support/temporary-folder.ts";

const signal = AbortSignal.any([]);
const TOKEN = "ghp_0123456789abcdefghijABCDEFGHIJ012345";
const MISTAKE = { path: "x", found: "y", expected: "z", file: "f", line: 1, column: 1, hint: null };
const OTHERS = {
  files: { command: "files-server" },
  slow: { command: "slow-server" },
  mine: { command: "mine", env: { GITHUB_TOKEN: TOKEN } },
};

async function openConnections(t: Scope) {
  const userHome = await temporaryFolder(t);
  const home = join(userHome, "own");
  await mkdir(home);
  await mkdir(join(userHome, ".cursor"));
  await writeFile(
    join(home, "config.toml"),
    '[backends.files]\ncommand = "files-server"\n[backends.slow]\ncommand = "slow-server"\n',
  );
  const file = join(userHome, ".cursor/mcp.json");
  const text = `{\n  // mine\n  "mcpServers": ${JSON.stringify(OTHERS, null, 2)}\n}\n`;
  await writeFile(file, text);
  const backends = [sampleBackend({ name: "files" }), sampleBackend({ name: "slow", phase: "Initializing" })];
  const edits: string[] = [];
  const refuses = { now: false };
  const { knownClients, connectClient, importServers } = createClientConnections({
    ...{ home, configPath: null, launcher: "/opt/m/bin/mountaineer" },
    environment: { HOME: userHome, PATH: process.env["PATH"] },
    status: () => gatewayReport(backends),
    editText: async ({ text }) => {
      edits.push(text);
      return sampleEdit({ errors: refuses.now ? [MISTAKE] : [] });
    },
  });
  const surroundings = { home, file, userHome, environment: {}, folder: "/" };
  const config = async () => ({ backends: { files: OTHERS.files, slow: OTHERS.slow } });
  const program = { command: "/opt/m/bin/mountaineer", args: ["mcp"], env: {} };
  return {
    ...{ file, text, home, userHome, edits, refuses },
    imports: (source: { client?: string; text?: string }, agreed: string | null = null) =>
      importServers({ client: null, text: null, ...source, agreed }, signal, OWNER_RIGHTS),
    secrets: async () => pluck((await openHomeSecrets({ home, configPath: null }).list()).secrets, "name"),
    /** Of one who sees this backend alone serve. */
    plan: (serving: string) =>
      planConnection(CLIENTS.cursor, program, { config, serving: async () => [serving] }, surroundings),
    known: async () => (await knownClients(null, signal)).clients,
    ask: (undo: boolean, agreed: string | null = null, client = "cursor") =>
      connectClient({ client, undo, agreed }, signal, OWNER_RIGHTS),
  };
}

test("F1 F4 a client's file gets the shown and confirmed content, and is restored to the byte", async (t) => {
  const { file, text, known, ask } = await openConnections(t);
  const program = { name: "cursor", title: "Cursor", path: file, problem: null };
  assert.deepEqual(await known(), [{ ...program, connected: false }]);
  const shown = await ask(false);
  assert.deepEqual([shown.written, shown.path], [false, file]);
  assert.match(shown.diff, /^-.*"files": \{[\s\S]*^\+.*"\/opt\/m\/bin\/mountaineer"/m);
  assert.doesNotMatch(JSON.stringify(shown), new RegExp(TOKEN));
  assert.match(
    shown.notes.join("\n"),
    /^kept in Cursor, because they do not work here yet: slow; .*\n.*: files$/,
  );
  assert.equal(await readFile(file, "utf8"), text);
  assert.equal((await ask(false, shown.digest)).written, true);
  const { mcpServers } = JSON.parse((await readFile(file, "utf8")).replace(/^ *\/\/.*\n/m, ""));
  assert.deepEqual(Object.keys(mcpServers).sort(), ["mine", "mountaineer", "slow"]);
  assert.deepEqual(await known(), [{ ...program, connected: true }]);
  const undo = await ask(true);
  assert.equal((await ask(true, undo.digest)).written, true);
  assert.equal(await readFile(file, "utf8"), text);
});

test("F4 the remaining step in the client is reported for an added entry, not for a removed one", async (t) => {
  const { userHome, ask } = await openConnections(t);
  await mkdir(join(userHome, ".gemini"));
  const { digest, next } = await ask(false, null, "gemini");
  assert.equal(next, CLIENTS.gemini.afterwards);
  await ask(false, digest, "gemini");
  assert.equal((await ask(true, null, "gemini")).next, null);
});

test("F4 nothing is written if the file has changed since the agreement, nor under an unknown client name", async (t) => {
  const { file, text, known, ask } = await openConnections(t);
  const { digest } = await ask(false);
  const since = text.replace("// mine", "// ours");
  await writeFile(file, since);
  await assert.rejects(ask(false, digest), { code: "config_changed" });
  await assert.rejects(ask(false, null, "1mcp"), { code: "usage" });
  assert.equal(await readFile(file, "utf8"), since);
  await writeFile(file, '{"mcpServers": {');
  const program = (await known()).find(({ name }) => name === "cursor");
  assert.deepEqual([program?.connected, program?.problem?.includes("is not JSON")], [null, true]);
});

test("F4 of two simultaneous writes the later writes nothing, and the undo of the earlier is kept", async (t) => {
  const { file, text, ask, plan, home } = await openConnections(t);
  const [one, other] = [await plan("files"), await plan("slow")];
  await writePlan(home, one);
  await assert.rejects(writePlan(home, other), { code: "client_unreadable" });
  await ask(true, (await ask(true)).digest);
  assert.equal(await readFile(file, "utf8"), text);
});

test("F4 a client whose folder cannot be read does not hide the others from the list", async (t) => {
  const { userHome, known } = await openConnections(t);
  await writeFile(join(userHome, ".codeium"), "no folder");
  await symlink("loop", join(userHome, ".gemini"));
  await symlink(".gemini", join(userHome, "loop"));
  assert.deepEqual(pluck(await known(), "name"), ["cursor", "gemini", "antigravity"]);
});

test("F4 the change of a file that is one long line is shown, and no part of a secret", async (t) => {
  const { file, plan } = await openConnections(t);
  const [short, long] = [TOKEN.slice(0, 30), TOKEN];
  const servers = {
    one: { command: "one", args: ["--token", short] },
    two: { command: "two", args: [long] },
  };
  const history = "x".repeat(2 ** 20);
  await writeFile(file, JSON.stringify({ mcpServers: servers, history: [history, "end"] }));
  const diff = await planDiff(await plan("files"));
  assert.match(diff, /^\+"mountaineer": \{$/m);
  assert.match(diff, /^\+.*x … 104\d{4} characters … x+","end"\]\}$/m);
  assert.doesNotMatch(diff, new RegExp(long.slice(0, 8)));
  assert.doesNotMatch(diff, new RegExp(long.slice(-8)));
});

test("F4 a client's file that cannot be written is named, and the remains of a crashed write are removed", async (t) => {
  const { file, userHome, ask } = await openConnections(t);
  // No process has so high a number.
  await writeFile(join(userHome, ".cursor/.mcp.json.4194999-0123456789ab.tmp"), TOKEN);
  await ask(false, (await ask(false)).digest);
  assert.deepEqual(await readdir(join(userHome, ".cursor")), ["mcp.json"]);
  await ask(true, (await ask(true)).digest);
  await rm(file);
  await symlink(join(userHome, "gone/mcp.json"), file);
  const { digest } = await ask(false);
  await assert.rejects(ask(false, digest), {
    code: "client_unreadable",
    message: /mcp\.json cannot be written/,
  });
});

test("F1 F4 an import is shown without a secret, and written with its secrets once it was agreed to", async (t) => {
  const { home, edits, imports, secrets } = await openConnections(t);
  const plan = await imports({ client: "cursor" });
  assert.deepEqual(
    plan.servers.map(({ name, runs, texts, secrets: kept }) => [name, runs, texts, kept]),
    [["mine", "mine", ["GITHUB_TOKEN = secret:mine-github-token"], ["mine-github-token"]]],
  );
  assert.deepEqual(
    [plan.present, plan.summary],
    [["files", "slow"], "0 to run, 1 without its program, 0 disabled, 0 not imported, 0 in projects"],
  );
  assert.match(plan.diff, /^\+command = "mine"$/m);
  assert.doesNotMatch(JSON.stringify(plan), new RegExp(TOKEN));
  await assert.rejects(imports({ client: "cursor" }, "other"), { code: "config_changed" });
  assert.deepEqual([edits, await secrets()], [[], []]);
  const done = await imports({ client: "cursor" }, plan.digest);
  assert.equal(done.saved?.errors.length, 0);
  assert.deepEqual([edits.length, await secrets()], [1, ["mine-github-token"]]);
  assert.ok(edits[0]?.startsWith(await readFile(join(home, "config.toml"), "utf8")));
});

test("E1 F4 two agreements to one import at once are one import, whose secrets stay", async (t) => {
  const { edits, imports, secrets } = await openConnections(t);
  const { digest } = await imports({ client: "cursor" });
  const both = await Promise.allSettled([
    imports({ client: "cursor" }, digest),
    imports({ client: "cursor" }, digest),
  ]);
  assert.deepEqual(pluck(both, "status"), ["fulfilled", "rejected"]);
  assert.deepEqual([edits.length, await secrets()], [1, ["mine-github-token"]]);
});

test("E1 no imported server gets the name of the gateway's token, or of a secret that something refers to", async (t) => {
  const { home, imports } = await openConnections(t);
  const config = join(home, "config.toml");
  await writeFile(
    config,
    `${await readFile(config, "utf8")}[backends.files.env]\nTOKEN = "secret:core-password"\n`,
  );
  const text = JSON.stringify({
    gateway: { command: "x", env: { TOKEN } },
    core: { command: "x", env: { PASSWORD: TOKEN } },
  });
  const { servers } = await imports({ text });
  assert.deepEqual(
    servers.flatMap(({ secrets: names }) => names),
    ["gateway-token-2", "core-password-2"],
  );
});

test("F4 a refused import leaves no secret, and an import reads one source", async (t) => {
  const { refuses, imports, secrets } = await openConnections(t);
  const text = JSON.stringify({ mine: { command: "mine", env: { GITHUB_TOKEN: TOKEN } } });
  refuses.now = true;
  await assert.rejects(imports({ text }, (await imports({ text })).digest), { code: "config_invalid" });
  assert.deepEqual(await secrets(), []);
  await assert.rejects(imports({}), { code: "usage" });
  await assert.rejects(imports({ client: "nobody" }), { code: "usage" });
  await assert.rejects(imports({ client: "zed" }), { code: "client_unreadable" });
  await assert.rejects(imports({ text: "x".repeat(1024 * 1024 + 1) }), { code: "client_unreadable" });
  const many = Object.fromEntries(Array.from({ length: 1001 }, (_, n) => [`s${n}`, { command: "x" }]));
  await assert.rejects(imports({ text: JSON.stringify(many) }), { code: "client_unreadable" });
});

// Signing in to a backend's server from the page, before a real server behind a real authorization server.
const backend = "tickets";

test("F4 a person signs in at the address that the page shows, and the backend restarts", async (t) => {
  const { home, authorization, server, grants } = await startSignInRig(t);
  await writeFile(join(home, "config.toml"), `[backends.tickets]\nurl = "${server.url}"\n`, { mode: 0o600 });
  const restarted: unknown[] = [];
  const restart = async (input: unknown) => {
    restarted.push(input);
    return { restarted: [backend] };
  };
  using logins = createLoginControl({ signIn: openBackendSignIn({ home, configPath: null }), restart });
  const { beginLogin, awaitLogin } = logins.control;
  await assert.rejects(awaitLogin({ backend }, signal), { code: "sign_in_failed", message: /was begun/ });
  await assert.rejects(beginLogin({ backend: "other" }, signal, OWNER_RIGHTS), { code: "backend_unknown" });

  const { address: first } = await beginLogin({ backend }, signal, OWNER_RIGHTS);
  assert.ok(first.startsWith(authorization.issuer));
  const replaced = assert.rejects(awaitLogin({ backend }, signal), { message: "another sign-in was begun" });
  const { address } = await beginLogin({ backend }, signal, OWNER_RIGHTS);
  await replaced;
  assert.deepEqual(restarted, []);
  await agree(address, authorization.issuer);
  const { issuer, renews_itself } = await awaitLogin({ backend }, signal);
  assert.deepEqual([issuer, renews_itself], [authorization.issuer, true]);
  assert.deepEqual(restarted, [{ backends: [backend] }]);
  assert.equal((await grants.read(backend, signal))?.issuer, authorization.issuer);

  await beginLogin({ backend }, signal, OWNER_RIGHTS);
  const ended = assert.rejects(awaitLogin({ backend }, signal), { message: "the daemon ends" });
  logins[Symbol.dispose]();
  await ended;
});
