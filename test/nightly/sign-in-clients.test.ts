// Programs of others that know OAuth and a gateway's address: each signs in, and a person lets it in by the code in its page.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { chromium } from "playwright-core";
import { approve, type Door, plainClient, startDoor } from "../gateway/authorization-server/rig.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { NO_BROWSER, SOON_MS } from "../web/page-rig.ts";
import { fromNpm, fromPip } from "./installed.ts";

const NPM = [
  "@anthropic-ai/claude-code@2.1.197",
  "@modelcontextprotocol/inspector@2.12.0",
  "mcp-remote@0.15.1",
];

/** Opens the address as a browser does, and types its code in a terminal. Resolves with the address of the answer. */
async function letIn(door: Door, address: string): Promise<string> {
  const browser = plainClient(door);
  const page = await browser.authorize(Object.fromEntries(new URL(address).searchParams));
  assert.equal(page.status, 200, page.text);
  assert.ok(await approve(door.gateway, page.code));
  return String((await browser.answer(page, null)).headers["location"]);
}

/** The folder of the programs; null: they cannot be fetched here, and the test is skipped. */
async function fetched(t: TestContext, installed: Promise<string>): Promise<string | null> {
  return installed.catch((error: unknown) => {
    t.skip(`the programs cannot be fetched: ${String(error).slice(0, 300)}`);
    return null;
  });
}

function start(
  t: TestContext,
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
) {
  const child = spawn(command, args, {
    env: { PATH: process.env["PATH"] ?? "", ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  const said = { out: "", err: "" };
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => (said.out += chunk));
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (said.err += chunk));
  t.after(() => child.kill("SIGKILL"));
  return { child, said };
}

const INITIALIZE = {
  method: "initialize",
  params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "t", version: "1" } },
};

test("E1 mcp-remote signs in, lists tools, and asks no one the next time", async (t) => {
  const [door, home, bin] = await Promise.all([
    startDoor(t),
    temporaryFolder(t),
    fetched(t, fromNpm(...NPM)),
  ]);
  if (bin === null) return;
  const run = async (isFirst: boolean): Promise<string> => {
    const file = path.join(bin, "mcp-remote");
    const { child, said } = start(t, process.execPath, [file, door.url], {
      HOME: home,
      MCP_REMOTE_CONFIG_DIR: home,
    });
    const opened = async () => eventually(() => /http:\S+\/authorize\?\S+/.exec(said.err)?.[0]);
    if (isFirst) assert.ok((await fetch(await letIn(door, await opened()))).ok);
    child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", id: 1, ...INITIALIZE })}\n`);
    await eventually(() => said.out.includes('"id":1')).catch(() => assert.fail(said.err));
    child.stdin.write(
      `{"jsonrpc":"2.0","method":"notifications/initialized"}\n{"jsonrpc":"2.0","id":2,"method":"tools/list"}\n`,
    );
    await eventually(() => said.out.includes('"id":2'));
    child.kill();
    return said.out;
  };
  assert.match(await run(true), /read_file/);
  assert.match(await run(false), /read_file/);
  assert.equal(door.gateway.clients.grants.list.length, 1);
});

test("E1 the official Python client signs in, and lists tools", async (t) => {
  const [door, bin] = await Promise.all([startDoor(t), fetched(t, fromPip("mcp==2.3.0"))]);
  if (bin === null) return;
  const program = path.join(import.meta.dirname, "sdks/python_sign_in.py");
  const { child, said } = start(t, path.join(bin, "python"), [program, door.url], {
    PYTHONDONTWRITEBYTECODE: "1",
  });
  const address = await eventually(() => /http:\S+\/authorize\?\S+/.exec(said.out)?.[0]).catch(() =>
    assert.fail(said.err),
  );
  child.stdin.write(`${await letIn(door, address)}\n`);
  await eventually(() => said.out.includes("tools")).catch(() => assert.fail(said.err));
  const { tools, expires } = JSON.parse(said.out.split("\n")[1] ?? "");
  assert.deepEqual([tools, expires], [["read_file", "write_file"], 3_600]);
});

test("E1 Claude Code finds out that it has to sign in, and does", async (t) => {
  const [door, home, bin] = await Promise.all([
    startDoor(t),
    temporaryFolder(t),
    fetched(t, fromNpm(...NPM)),
  ]);
  if (bin === null) return;
  const env = { HOME: home, DISABLE_AUTOUPDATER: "1", CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1" };
  const claude = async (...args: readonly string[]): Promise<string> => {
    const { child, said } = start(t, path.join(bin, "claude"), ["mcp", ...args], env);
    await once(child, "close");
    return said.out + said.err;
  };
  await claude("add", "--transport", "http", "gateway", door.url);
  assert.match(await claude("list"), /gateway: .*Needs authentication/);
  const login = `stty cols 2000; exec ${path.join(bin, "claude")} mcp login gateway`;
  const { child, said } = start(t, "script", ["-qec", login, "/dev/null"], { ...env, BROWSER: "true" });
  const address = await eventually(() => /http:\S+\/authorize\?\S+/.exec(said.out + said.err)?.[0]).catch(
    () => assert.fail(said.out + said.err),
  );
  assert.ok((await fetch(await letIn(door, address))).ok);
  await eventually(() => child.exitCode !== null).catch(() => assert.fail(said.out + said.err));
  assert.match(await claude("list"), /gateway: .*Connected/);
});

test("E1 MCP Inspector signs in over the gateway's page in a browser", { skip: NO_BROWSER }, async (t) => {
  const [door, bin, home, port] = await Promise.all([
    ...([startDoor(t), fetched(t, fromNpm(...NPM)), temporaryFolder(t), freePort()] as const),
  ]);
  if (bin === null) return;
  const inspector = [
    path.join(bin, "mcp-inspector"),
    "--web",
    "--transport",
    "http",
    "--server-url",
    door.url,
  ];
  const { said } = start(t, process.execPath, inspector, {
    ...{ HOME: home, CLIENT_PORT: String(port) },
    ...{ MCP_AUTO_OPEN_ENABLED: "false", DANGEROUSLY_OMIT_AUTH: "true" },
  });
  await eventually(() => said.out.includes("up and running")).catch(() => assert.fail(said.out + said.err));
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
  t.after(() => browser.close());
  const page = await browser.newPage();
  page.setDefaultTimeout(SOON_MS);
  await page.goto(`http://localhost:${port}/`);
  await page.getByRole("switch").first().click({ force: true });
  await page.getByText("Let MCP Inspector use Mountaineer?").waitFor();
  const shown = (await page.locator("code").first().textContent()) ?? "";
  assert.ok(await approve(door.gateway, shown.split(" ").at(-1) ?? ""));
  await page.waitForURL(`http://localhost:${port}/**`);
  await page.getByText("Tools").first().click();
  await page.getByText("read_file").first().waitFor();
});
