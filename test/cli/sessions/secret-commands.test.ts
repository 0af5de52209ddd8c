import assert from "node:assert/strict";
import { chmod, readFile, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { connectToDaemon } from "../../../src/api/client/client.ts";
import { LIGHT_SERVER } from "../../mcp/fixture-programs.ts";
import type { Ran } from "../../support/collect.ts";
import { ends } from "../../support/ends.ts";
import { eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/free-port.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { runCommand, startCommand } from "../command-line.ts";

/** The command with something on its standard input. */
function piped(args: readonly string[], input: string | Buffer, home: string): Promise<Ran> {
  return runCommand(args, { home, input });
}

const CONFIG = `[[shares]]
name = "CORE"
thunderbolt_host = "127.0.0.2"
fallback_host = "127.0.0.3"
password = "secret:nas"
[backends.web]
url = "http://127.0.0.1:9/mcp"
headers = { Authorization = "Bearer \${secret:token}" }
`;

test("a secret is set from standard input, listed by its name, and removed", async (t) => {
  const home = await temporaryFolder(t);
  await writeFile(join(home, "config.toml"), CONFIG);
  const set = await piped(["secret", "set", "nas"], "hidden word\n", home);
  assert.deepEqual([set.code, set.stderr], [0, ""]);
  assert.match(set.stdout, /nas is stored: secrets\.json/);
  assert.equal((await stat(join(home, "secrets.json"))).mode & 0o777, 0o600);
  assert.match(await readFile(join(home, "secrets.json"), "utf8"), /"hidden word"/);
  const list = await ends(
    runCommand(["secret", "list"], { home }),
    0,
    /● nas {4}secrets\.json \(0600\) {2}share CORE\n✗ token {2}not stored .*server web \(headers/,
  );
  const json = await runCommand(["secret", "list", "--json"], { home });
  assert.deepEqual(JSON.parse(json.stdout), {
    secrets: [
      { name: "nas", kept: "file", used_by: ["share CORE"] },
      { name: "token", kept: null, used_by: ["server web (headers Authorization)"] },
    ],
    config_error: null,
  });
  assert.doesNotMatch(`${list.stdout}${json.stdout}${set.stdout}`, /hidden/);
  const removed = await runCommand(["secret", "remove", "nas", "--json"], { home });
  assert.deepEqual(JSON.parse(removed.stdout), { name: "nas", kept: "file" });
  await piped(["secret", "set", "nas"], "hidden word\n", home);
  const used = await runCommand(["secret", "remove", "nas"], { home });
  assert.match(
    used.stderr,
    /still refers to it \(share CORE\); mountaineer secret set nas stores a new value/,
  );
  await ends(runCommand(["secret", "remove", "nas"], { home }), 2, "", /no secret nas is stored/);
});

test("shares remove names a secret that has become unused, and not one that is in use", async (t) => {
  const home = await temporaryFolder(t);
  await writeFile(
    join(home, "config.toml"),
    `${CONFIG}${CONFIG.replace("CORE", "MEDIA").split("[backends")[0]}`,
  );
  await piped(["secret", "set", "nas"], "hidden word\n", home);
  await ends(runCommand(["shares", "remove", "--share", "CORE"], { home }), 0, null, "");
  const last = await runCommand(["shares", "remove", "--share", "MEDIA"], { home });
  assert.deepEqual(
    [last.code, last.stderr],
    [0, "mountaineer: the secret nas is no longer used; mountaineer secret remove nas removes it\n"],
  );
});

test("an invalid value or name is refused, without repeating it, and changes nothing", async (t) => {
  const home = await temporaryFolder(t);
  const values: readonly (readonly [string | Buffer, RegExp])[] = [
    ["", /empty/],
    ["\n", /empty/],
    ["a\0b", /NUL/],
    [Buffer.from([0xff, 0xfe]), /UTF-8/],
    ["x".repeat(9_000), /bytes at most/],
  ];
  for (const [value, why] of values) {
    await ends(piped(["secret", "set", "nas"], value, home), 2, null, why);
  }
  for (const name of ["a/b", "-x", "", "ä", "__proto__"]) {
    const { code } = await piped(["secret", "set", "--", name], "x", home);
    assert.equal(code, 2, name);
  }
  await ends(piped(["secret", "set", "nas", "--in", "drawer"], "x", home), 2, null, /keyring, file/);
  await assert.rejects(stat(join(home, "secrets.json")));
});

test("with a broken configuration the secrets are still listed, and a missing keyring is reported", async (t) => {
  const home = await temporaryFolder(t);
  await writeFile(join(home, "config.toml"), "[global]\nauto_failbak = true\n");
  const none = await runCommand(["secret", "list"], { home });
  assert.match(none.stdout, /no secret is stored; what refers to any is not known: /);
  assert.equal((await piped(["secret", "set", "nas"], "x", home)).code, 0);
  await ends(runCommand(["secret", "list"], { home }), 0, /nas .*not used[\s\S]*who uses them is not known/);
  const keyring = await piped(["secret", "set", "other", "--in", "keyring"], "x", home);
  assert.equal(keyring.code, 1);
  assert.match(keyring.stderr, /keyring cannot be used/);
});

test("a home that cannot be written is reported", async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, "home"), "a file");
  await ends(piped(["secret", "set", "nas"], "x", join(folder, "home")), 6, null, /cannot/);
});

// Secrets that were written into the configuration, in whatever place, looked for in all that Mountaineer says.
/** One for each way in which a secret gets into a configuration; the places are in the words. */
const SECRETS = {
  option: "s3cr3t-of-the-option-Qx71",
  pair: "s3cr3t-of-the-pair-Zk82",
  bare: "ghp_s3cr3tBareArgumentWv93",
  prose: "s3cr3t-of-the-shell-Lm04",
  env: "s3cr3t-of-the-env-Pb15",
  variable: "s3cr3t-of-the-variable-Tn26",
  kept: "s3cr3t-that-is-kept-Rj37",
  header: "s3cr3t-of-the-header-Hy48",
  query: "s3cr3t-of-the-query-Cd59",
} as const;

test("E5 no secret that was ever configured is in status, logs, events, errors or the report", async (t) => {
  let stop = async (): Promise<void> => {};
  t.after(() => stop());
  const home = await temporaryFolder(t);
  const env = { SCANNED: SECRETS.variable };
  // It answers with all that it was sent, as servers do in their errors.
  const server = createServer((request, response) => {
    response.writeHead(500, { "content-type": "text/plain" });
    response.end(`${request.url} ${JSON.stringify(request.headers)}`);
  }).listen(0, "127.0.0.1");
  t.after(() => server.close());
  const { port } = await eventually(() => server.address() as AddressInfo | null);
  const file = join(home, "config.toml");
  await writeFile(
    file,
    `[server]
port = ${await freePort()}
[backends.light]
command = ${JSON.stringify(process.execPath)}
args = [${JSON.stringify(LIGHT_SERVER)}, "--token", "${SECRETS.option}", "--key=${SECRETS.pair}", "${SECRETS.bare}"]
env = { API_KEY = "${SECRETS.env}", TOKEN = "\${SCANNED}", KEPT = "secret:kept" }
[backends.loud]
command = "sh"
args = ["-c", "echo $0 $* $API_KEY $TOKEN $KEPT >&2; exit 3", "--token", "${SECRETS.option}"]
env = { API_KEY = "${SECRETS.env}", TOKEN = "\${SCANNED}", KEPT = "secret:kept" }
[backends.shell]
command = "sh"
args = ["-c", "echo it is ${SECRETS.prose} >&2; exit 4"]
[backends.line]
command = "no-such-program --token ${SECRETS.option}"
[backends.web]
url = "http://127.0.0.1:${port}/mcp?api_key=${SECRETS.query}"
headers = { X-Api-Key = "${SECRETS.header}", Authorization = "Bearer \${SCANNED}" }
`,
  );
  await chmod(file, 0o600);
  await ends(runCommand(["secret", "set", "kept", "--in", "file"], { home, input: SECRETS.kept }), 0);
  const monitor = startCommand(["monitor"], { home, env });
  stop = async () => {
    monitor.child.kill("SIGTERM");
    await monitor.ended;
  };
  const client = await eventually(() => connectToDaemon(home));
  const events: unknown[] = [];
  const following = new AbortController();
  t.after(() => following.abort());
  const never = following.signal;
  // From the first one on, which were before anybody listened.
  const streaming = (async () => {
    using stream = await client.openEvents(never, { afterId: 0 });
    for await (const { event } of stream.events) events.push(event);
  })().catch(() => {});
  await eventually(async () => {
    const { backends = [] } = await client.call("status", null, never);
    const phases = Object.fromEntries(backends.map(({ name, phase }) => [name, phase]));
    const failed = ["loud", "shell", "line", "web"].every((name) => phases[name] === "Failed");
    return phases["light"] === "Ready" && failed;
  });
  // Each once more, so that an edit, a reload and a refused content are among what is said.
  const text = await readFile(file, "utf8");
  await writeFile(file, text.replace("exit 4", "exit 5"));
  await runCommand(["reload"], { home, env });
  await writeFile(file, `${text}\nnonsense = "${SECRETS.prose}"\n`);
  const refused = await runCommand(["reload"], { home, env });
  await writeFile(file, text);
  await runCommand(["reload"], { home, env });
  const said: Record<string, string> = { refused: refused.stdout + refused.stderr };
  for (const args of [
    ["status"],
    ["status", "--json"],
    ["backends", "list", "--json"],
    ["backends", "logs", "light"],
    ["backends", "logs", "loud"],
    ["backends", "logs", "shell"],
    ["verify", "--json"],
    ["doctor", "--json"],
    ["config", "validate"],
    ["logs", "--lines", "10000"],
    ["backends", "edit", "light", "--env", `OTHER_TOKEN=${SECRETS.env}`],
  ]) {
    const { stdout, stderr } = await runCommand(args, { home, env });
    said[args.join(" ").replace(SECRETS.env, "")] = stdout + stderr;
  }
  await runCommand(["doctor", "--report", join(home, "report.md")], { home, env });
  said["the report"] = await readFile(join(home, "report.md"), "utf8");
  said["the log"] = await readFile(join(home, "mountaineer.log"), "utf8");
  assert.ok(JSON.stringify(events).includes("backend.started"), JSON.stringify(events).slice(0, 500));
  said["events"] = JSON.stringify([events, await client.call("sync", null, never)]);
  following.abort();
  await stop();
  await streaming;
  stop = async () => {};
  said["stderr of the daemon"] = (await monitor.ended).stderr;
  // What is looked for in is there: each of them started, and said so.
  assert.match(said["the log"], /backend\.started.*light/);
  assert.match(said["the report"], /backends\.light\.args/);
  for (const [where, what] of Object.entries(said)) {
    for (const [place, secret] of Object.entries(SECRETS)) {
      assert.ok(!what.includes(secret), `${place} is in ${where}:\n${linesWith(what, secret)}`);
    }
  }
});

function linesWith(text: string, secret: string): string {
  return text
    .split("\n")
    .filter((line) => line.includes(secret))
    .slice(0, 3)
    .join("\n");
}
