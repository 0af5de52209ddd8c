// `mountaineer backends login` and `logout`, the real program against real servers.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { agree } from "../../gateway/backends/sign-in/authorization-server.ts";
import { BACKEND, type SignInRig, startSignInRig } from "../../gateway/backends/sign-in/sign-in-rig.ts";
import { COMMAND, environmentOf, runCommand } from "../command-line.ts";

const { signal } = new AbortController();

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Without a keyring and a screen. */
const ALONE = { PATH: "/nonexistent", NO_COLOR: "1" };

/** In this process: nothing is asked of a person. */
const runAlone = ({ home }: SignInRig, args: readonly string[]) =>
  runCommand(["backends", ...args], { home, env: ALONE });

/** `onAddress` is told each address that it shows. */
async function run(
  { home }: SignInRig,
  args: readonly string[],
  onAddress: (address: string, answer: (line: string) => void) => void,
): Promise<Ended> {
  const [program = "", ...own] = COMMAND;
  const child = spawn(program, [...own, "backends", ...args], {
    env: environmentOf({ home, env: ALONE }),
  });
  let stdout = "";
  let stderr = "";
  const shown = new Set<string>();
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
    for (const [address] of stderr.matchAll(/http:\/\/\S+(?=\s)/g)) {
      if (shown.has(address)) continue;
      shown.add(address);
      onAddress(address, (line) => child.stdin.end(`${line}\n`));
    }
  });
  const [code] = await once(child, "close");
  return { code, stdout, stderr };
}

async function configured(rig: SignInRig, more = ""): Promise<void> {
  const text = `[backends.${BACKEND}]\nurl = "${rig.server.url}"\n${more}\n[backends.files]\ncommand = "files"\n`;
  await writeFile(join(rig.home, "config.toml"), text);
}

test("E1 `backends login` signs in, says at whom and with what, and `logout` ends it", async (t) => {
  const rig = await startSignInRig(t);
  await configured(rig);
  const { issuer } = rig.authorization;
  const login = await run(rig, ["login", BACKEND, "--json"], (address) => void agree(address, issuer));
  assert.equal(login.code, 0, login.stderr);
  const report = JSON.parse(login.stdout);
  assert.equal(report.issuer, issuer);
  assert.deepEqual(report.scopes, ["mcp:read", "offline_access"]);
  assert.equal(report.renews_itself, true);
  const grant = await rig.grants.read(BACKEND, signal);
  assert.ok(grant !== null);
  assert.ok((await rig.authorization.scopesOf(grant.accessToken, rig.server.url)) !== null);
  const logout = await runAlone(rig, ["logout", BACKEND]);
  assert.match(logout.stdout, /tickets {2}is signed out, and its server was told/);
  assert.equal(await rig.grants.read(BACKEND, signal), null);
  const again = await runAlone(rig, ["logout", BACKEND]);
  assert.match(again.stdout, /was not signed in/);
  for (const { stdout, stderr } of [login, logout]) {
    assert.ok(!(stdout + stderr).includes(grant.accessToken));
  }
});

test("E1 `backends login --no-browser` reads the address that was pasted, and --scope asks for more", async (t) => {
  const rig = await startSignInRig(t);
  await configured(rig);
  const { issuer } = rig.authorization;
  const args = ["login", BACKEND, "--no-browser", "--scope", "mcp:write"];
  const login = await run(rig, args, (address, answer) => void agree(address, issuer).then(answer));
  assert.equal(login.code, 0, login.stderr);
  assert.match(login.stdout, /is signed in at .*with the scopes mcp:read mcp:write offline_access/);
});

test("E1 `backends login` says why it cannot be: unknown, a program, a header, a machine's own", async (t) => {
  const rig = await startSignInRig(t);
  await configured(rig, 'headers = { Authorization = "Bearer ${HOME}" }');
  for (const [name, code, words] of [
    ["nobody", 2, /there is no backend named "nobody"\n.*configured: tickets, files/],
    [`${BACKEND}s`, 2, /did you mean tickets\?/],
    ["files", 1, /is a program/],
    [BACKEND, 1, /has its own header/],
  ] as const) {
    const { code: ended, stderr } = await runAlone(rig, ["login", name]);
    assert.equal(ended, code, stderr);
    assert.match(stderr, words);
  }
  assert.equal((await runAlone(rig, ["logout", "nobody"])).code, 2);
  const left = await readdir(join(rig.home, "sign-in")).catch(() => []);
  assert.deepEqual(left, [], "no file for what there is not");
  await configured(
    rig,
    `auth = { type = "client-credentials", client_id = "x", client_secret = "\${HOME}", issuer = "https://login.example" }`,
  );
  assert.match((await runAlone(rig, ["login", BACKEND])).stderr, /signs in as itself/);
});
