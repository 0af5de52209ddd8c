// Commands and bridges of a home whose sockets are outside of it, where another program may have made their folder again.
import assert from "node:assert/strict";
import { once } from "node:events";
import { chmod, chown, lchown, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { connectToDaemon } from "../../../src/api/client/client.ts";
import { openGatewayConnection } from "../../../src/mcp-bridge/gateway-connection.ts";
import { eventually } from "../../support/eventually.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { programMissing, runProgram } from "../../sync/programs.ts";
import { runProcess, startCommand } from "../command-line.ts";

const NOBODY = 65_534;
const STRANGER = 21_200;

/** A home whose path is too long for sockets, and a socket for which `daemon.json` names it: what comes there is counted. */
async function forge(t: TestContext) {
  const top = await temporaryFolder(t);
  await chmod(top, 0o755);
  const home = join(top, "h".repeat(100));
  await mkdir(home, { mode: 0o700 });
  const folder = await mkdtemp(join(tmpdir(), "mountaineer-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.on("error", () => {}).end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
  });
  const path = join(folder, "sock");
  server.listen(path);
  await once(server, "listening");
  t.after(() => server.close());
  await chmod(path, 0o600);
  const name = async (socket: string) => {
    const note = { pid: 1, socket, mcp_socket: socket, version: "0.1.0", started_at: "", home };
    await writeFile(join(home, "daemon.json"), JSON.stringify(note));
  };
  await name(path);
  return { top, home, folder, path, name, connections: () => connections };
}

const COMMANDS: readonly { readonly args: readonly string[]; readonly input?: string }[] = [
  { args: ["status"] },
  { args: ["reload"] },
  { args: ["mcp"], input: `{"jsonrpc":"2.0","id":1,"method":"initialize"}\n` },
];

async function assertRefused(home: string, why: RegExp, within: readonly string[] = []): Promise<void> {
  for (const { args, input } of COMMANDS) {
    const ran = await runProcess(args, { home, within, ...(input === undefined ? {} : { input }) });
    assert.equal(ran.code, 8, `${args}: ${ran.stdout}${ran.stderr}`);
    assert.match(ran.stderr, why);
    assert.match(ran.stderr, /: Mountaineer is not running\n.*mountaineer up/);
  }
}

test("E2 no command connects to a socket behind a link, or in a folder that others can enter", async (t) => {
  const { top, home, folder, path, name, connections } = await forge(t);
  await chmod(folder, 0o755);
  await assertRefused(home, /mountaineer-\w+ is open to other users:/);
  await chmod(folder, 0o700);
  const link = join(top, "link");
  await symlink(folder, link);
  await name(join(link, "sock"));
  await assertRefused(home, /link is not a folder:/);
  assert.equal(connections(), 0);
  await name(path);
  assert.notEqual(await connectToDaemon(home), null);
  assert.equal(connections(), 1, "the home's owner made it");
});

test("E2 no command, bridge or daemon connects to another user's socket outside of the home", async (t) => {
  const missing = await programMissing("setpriv");
  if (missing !== null || process.getuid?.() !== 0)
    return t.skip(missing ?? "needs root, to be another user");
  const { home, folder, path, connections } = await forge(t);
  for (const each of [home, join(home, "daemon.json")]) await chown(each, NOBODY, NOBODY);
  const as = (uid: number) => ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];

  await chown(folder, STRANGER, STRANGER);
  await assertRefused(home, /mountaineer-\w+ belongs to user 21200:/, as(NOBODY));
  await assertRefused(home, /mountaineer-\w+ belongs to user 21200:/);
  const doctor = await runProcess(["doctor"], { home, within: as(NOBODY) });
  assert.match(doctor.stdout, /belongs to user 21200/);
  assert.doesNotMatch(doctor.stdout, /a stale socket/);
  const { signal } = new AbortController();
  const options = {
    output: process.stdout,
    onLine: () => true,
    onTooLong() {},
    onDrain() {},
    onEnd: () => true,
  };
  await assert.rejects(openGatewayConnection({ path, home }, signal, options), /belongs to user 21200/);

  await chown(folder, NOBODY, NOBODY);
  await lchown(path, STRANGER, STRANGER);
  await assertRefused(home, /sock belongs to user 21200:/, as(NOBODY));
  assert.equal(connections(), 0);

  await lchown(path, NOBODY, NOBODY);
  assert.notEqual(await connectToDaemon(home), null, "root takes the home's owner's");
  assert.equal(connections(), 1);
});

test("E2 up starts the daemon although another program has made the folder of the old sockets again", async (t) => {
  const { home, folder, connections } = await forge(t);
  await chmod(folder, 0o755);
  await writeFile(join(home, "config.toml"), "", { mode: 0o600 });
  const monitor = startCommand(["monitor"], { home });
  t.after(async () => {
    monitor.child.kill();
    await monitor.ended;
  });
  const found = await eventually(() => connectToDaemon(home).catch(() => null));
  assert.notEqual(found, null);
  assert.equal(connections(), 0);
  const container = ["unshare", "--user", "--map-root-user"];
  const obstacle =
    (await programMissing("unshare")) ??
    (await runProgram("unshare", ...container.slice(1), "true").then(
      () => null,
      () => "no user namespaces",
    ));
  if (obstacle !== null) return t.diagnostic(`not in a container: ${obstacle}`);
  const ran = await runProcess(["status"], { home, within: container });
  assert.equal(ran.code, 0, ran.stderr);
});
