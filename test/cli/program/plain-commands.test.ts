// Plain commands, and switching a backend.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { BackendRoutesStatus } from "../../../src/api/contract/contract.ts";
import { renderBackends } from "../../../src/api/views/gateway-view.ts";
import { COMMANDS } from "../../../src/cli/program/command-list.ts";
import { PLAIN_COMMANDS, runPlainCommand } from "../../../src/cli/program/plain-commands.ts";
import { commandOf, createProgram } from "../../../src/cli/program/program.ts";
import { startRig } from "../../api/management-rig.ts";
import { gatewayReport, sampleBackend, scriptedGateway } from "../../api/sample-gateway.ts";
import { scriptedControl } from "../../api/sample-report.ts";
import { agree } from "../../gateway/backends/server-sign-in/authorization-server.ts";
import {
  BACKEND,
  type SignInRig,
  startSignInRig,
} from "../../gateway/backends/server-sign-in/sign-in-rig.ts";
import { collect } from "../../support/collect.ts";
import { ends } from "../../support/ends.ts";
import { pluck } from "../../support/pluck.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { COMMAND, environmentOf, runCommand } from "../command-line.ts";

const program = createProgram({ print() {}, complain() {} }, async () => {});

test("a command that runs without the parser is one of the program's, with --json or as text, and only `why` has an argument", async () => {
  for (const [words, load] of Object.entries(PLAIN_COMMANDS)) {
    const definition = await load();
    assert.equal(definition.name, words);
    assert.ok(COMMANDS.includes(definition), words);
    const command = commandOf(program, definition);
    assert.equal(pluck(command?.options ?? [], "long").at(-1), words === "mcp" ? "--group" : "--json");
    assert.ok(
      command?.options.every(({ mandatory }) => !mandatory),
      words,
    );
    assert.equal(command?.registeredArguments.length, words === "why" ? 1 : 0);
  }
});

test("any other call is left to the parser, and nothing is done", async () => {
  const makeContext = () => assert.fail("nothing may be begun");
  for (const args of [
    [],
    ["status", "--help"],
    ["--json", "status"],
    ["status", "--json", "--json"],
    ["--config", "x", "status"],
    ["tools"],
    ["tools list"],
    ["toString"],
    ["mcp", "--json"],
    ["mcp", "--group", "x"],
    ["why"],
    ["why", "--json"],
    ["why", "-x"],
    ["why", ""],
    ["why", "a", "b"],
    ["switch"],
  ])
    assert.equal(await runPlainCommand(args, makeContext), null, args.join(" "));
});

test("without a daemon, an error of the code that a build's command then loads is reported as any other", async (t) => {
  const home = await temporaryFolder(t);
  await writeFile(join(home, "config.toml"), "backends = 1\n", { mode: 0o600 });
  const { code, stdout, stderr } = await runCommand(["tools", "list", "--json"], { home });
  assert.equal(JSON.parse(stdout).error.code, "config_invalid");
  assert.deepEqual([code, stderr.includes("internal error")], [3, false]);
});

async function rig(t: TestContext) {
  const gateway = scriptedGateway();
  const control = scriptedControl(gatewayReport([sampleBackend()]));
  return { gateway, ...(await startRig(t, { control, gateway })) };
}

test("C2 switch --backend names the route, and exits by its result", async (t) => {
  const { home, gateway } = await rig(t);
  const done = await runCommand(["switch", "--backend", "files", "--to", "lan"], { home });
  assert.deepEqual([done.code, done.stdout], [0, "✓ files  over route lan\n"]);
  const failed = await runCommand(["switch", "--backend", "files", "--to", "gone"], { home });
  assert.equal(failed.code, 1);
  assert.match(failed.stdout, /files {2}stays as it is: it does not answer/);
  const json = await runCommand(["switch", "--backend", "files", "--to", "auto", "--json"], { home });
  assert.deepEqual(JSON.parse(json.stdout), {
    backend: "files",
    result: "switched",
    route: "auto",
    detail: "over route auto",
  });
  assert.deepEqual(pluck(gateway.calls, "request"), [
    { backend: "files", to: "lan" },
    { backend: "files", to: "gone" },
    { backend: "files", to: "auto" },
  ]);
});

test("C2 options about shares are refused with --backend, and an unknown backend is reported", async (t) => {
  const { home, gateway } = await rig(t);
  for (const other of [["--force"], ["--wait"], ["--share", "CORE"], ["--all"]]) {
    const { code, stderr } = await runCommand(["switch", "--backend", "files", "--to", "lan", ...other], {
      home,
    });
    assert.equal(code, 2);
    assert.match(stderr, /cannot be used with option '--backend <name>'/);
  }
  assert.deepEqual(gateway.calls, []);
  const { code, stderr } = await runCommand(["switch", "--backend", "flies", "--to", "lan"], { home });
  assert.equal(code, 2);
  assert.match(stderr, /no server named "flies"/);
});

test("C2 without a daemon there is no route to switch", async (t) => {
  const home = await temporaryFolder(t);
  const { code, stderr } = await runCommand(["switch", "--backend", "files", "--to", "lan"], { home });
  assert.equal(code, 8);
  assert.match(stderr, /no daemon runs/);
});

const NOW = Date.parse("2026-11-21T12:00:00.000Z");
const ago = (secs: number): string => new Date(NOW - secs * 1_000).toISOString();
const route = { healthy_since: null, stable_at: null, retry_at: null, last_error: null } as const;
const ROUTES: BackendRoutesStatus = {
  in_use: "lan",
  override: null,
  recovery_pending: { route: "here", reason: "calls are in flight" },
  list: [
    {
      ...route,
      name: "here",
      type: "stdio",
      target: "serve /srv",
      in_use: false,
      healthy_since: ago(45),
      stable_at: ago(15),
    },
    { ...route, name: "lan", type: "streamable-http", target: "http://nas/mcp", in_use: true },
    {
      ...route,
      name: "far",
      type: "streamable-http",
      target: "https://far.example/mcp",
      in_use: false,
      retry_at: ago(-8),
      last_error: "nothing listens there",
    },
  ],
};

test("C2 status shows each route, the one in use, and the one ready for a failback", () => {
  const shown = (routes: BackendRoutesStatus, width = 100) =>
    renderBackends([sampleBackend({ routes })], { now: NOW, width, color: false, unicode: true });
  const text = shown(ROUTES);
  assert.match(text, /over lan/);
  assert.match(text, /here +serve \/srv, steady for 45\ss/);
  assert.match(text, /lan +http:\/\/nas\/mcp, in use/);
  assert.match(text, /far +https:\/\/far\.example\/mcp, nothing listens there, tries again in 8\ss/);
  assert.match(text, /here is ready, steady for 45\ss: calls are in flight/);
  assert.match(text, /mountaineer switch --backend files --to here/);
  const narrow = shown(ROUTES, 60);
  for (const line of narrow.split("\n")) assert.ok(line.length <= 60, line);
  assert.match(narrow, /far +https:\/\/far\.example\/mcp, nothing listens there,\n {12}tries again in 8\ss/);
  const other = shown({ ...ROUTES, override: "lan", recovery_pending: null });
  assert.match(other, /Ready over lan, set by hand/);
  assert.match(other, /mountaineer switch --backend files --to auto/);
});

// `mountaineer backends login` and `logout`, the real program against real servers.
const { signal } = new AbortController();

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
) {
  const [program = "", ...own] = COMMAND;
  const child = spawn(program, [...own, "backends", ...args], {
    env: environmentOf({ home, env: ALONE }),
  });
  const shown = new Set<string>();
  const said = collect(child);
  child.stderr.on("data", () => {
    for (const [address] of said.stderr().matchAll(/http:\/\/\S+(?=\s)/g)) {
      if (shown.has(address)) continue;
      shown.add(address);
      onAddress(address, (line) => child.stdin.end(`${line}\n`));
    }
  });
  return said.ended;
}

async function configured(rig: SignInRig, more = ""): Promise<void> {
  const text = `[backends.${BACKEND}]\nurl = "${rig.server.url}"\n${more}\n[backends.files]\ncommand = "files"\n`;
  await writeFile(join(rig.home, "config.toml"), text);
}

test("E1 `backends login` signs in, shows the server and the scopes, and `logout` ends it", async (t) => {
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
  assert.match(logout.stdout, /tickets {2}is signed out, and its server notified/);
  assert.equal(await rig.grants.read(BACKEND, signal), null);
  await ends(runAlone(rig, ["logout", BACKEND]), 0, /was not signed in/);
  for (const { stdout, stderr } of [login, logout]) {
    assert.ok(!(stdout + stderr).includes(grant.accessToken));
  }
});

test("E1 `backends login --no-browser` reads the pasted address, and --scope requests more", async (t) => {
  const rig = await startSignInRig(t);
  await configured(rig);
  const { issuer } = rig.authorization;
  const args = ["login", BACKEND, "--no-browser", "--scope", "mcp:write"];
  const login = await run(rig, args, (address, answer) => void agree(address, issuer).then(answer));
  assert.equal(login.code, 0, login.stderr);
  assert.match(login.stdout, /is signed in at .*with the scopes mcp:read mcp:write offline_access/);
});

test("E1 `backends login` gives the reason why it is impossible: unknown, a program, a header, a machine's own", async (t) => {
  const rig = await startSignInRig(t);
  await configured(rig, 'headers = { Authorization = "Bearer ${HOME}" }');
  for (const [name, code, words] of [
    ["nobody", 2, /there is no server named "nobody"\n.*configured: tickets, files/],
    [`${BACKEND}s`, 2, /did you mean tickets\?/],
    ["files", 1, /is a program/],
    [BACKEND, 1, /has its own header/],
  ] as const) {
    await ends(runAlone(rig, ["login", name]), code, null, words);
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
