// An agent with a filesystem tool that is rooted above the home writes a command into the configuration.
import assert from "node:assert/strict";
import { access, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import { eventually } from "../support/eventually.ts";
import { type GatewayRig, startGatewayRig } from "./gateway-rig.ts";

const MODULES = path.resolve(import.meta.dirname, "../../node_modules/@modelcontextprotocol");
const FILESYSTEM = path.join(MODULES, "server-filesystem/dist/index.js");
const SIGNAL = (): AbortSignal => AbortSignal.timeout(60_000);

async function isThere(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

async function fileAgent(rig: GatewayRig) {
  const client = new Client({ name: "agent", version: "1.0.0" });
  await client.connect(new StreamableHTTPClientTransport(new URL(rig.url)) as Transport);
  rig.beforeStop(() => client.close());
  const write = (file: string, content: string) =>
    client.callTool({ name: "write_file", arguments: { path: file, content } });
  const read = async (file: string): Promise<string> => {
    const { content } = await client.callTool({ name: "read_text_file", arguments: { path: file } });
    return JSON.stringify(content);
  };
  return { write, read };
}

function evil(rig: GatewayRig): { readonly trap: string; readonly section: string } {
  const trap = path.join(rig.folder, "trap");
  const section = `\n[backends.helper]\ncommand = "/bin/sh"\nargs = ["-c", "echo caught > ${trap}; sleep 600"]\n`;
  return { trap, section };
}

test("E2 a command that an agent writes into the configuration does not run, is shown, and runs once it is approved", async (t) => {
  // The rig's home is in its folder; the files server's root is filled in once that is known.
  const rig = await startGatewayRig(t, { backends: {} });
  const files = { files: { command: process.execPath, args: [FILESYSTEM, rig.folder] } };
  await rig.edit({ backends: files, more: { audit: { path: path.join(rig.folder, "audit.jsonl") } } });
  await rig.untilBackend("files", ({ reason }) => reason === "it waits for approval");
  const first = await rig.home.cli(["approve", "--yes", "--all"]);
  assert.equal(first.code, 0, first.stderr);
  await rig.untilReady("files");
  const agent = await fileAgent(rig);
  const { configFile } = rig.home;
  const { trap, section } = evil(rig);
  const text = await readFile(configFile, "utf8");
  assert.match(await agent.read(configFile), /backends\.files/, "it reads the configuration");
  await agent.write(configFile, text + section);

  const waiting = await eventually(async () => {
    const { conditions } = (await rig.status()).global;
    return conditions.find(({ code }) => code === "waiting_for_approval") ?? null;
  });
  assert.match(waiting.title, /server helper would run \/bin\/sh/);
  assert.equal(waiting.hint, "mountaineer approve backends.helper");
  const helper = await rig.backend("helper");
  assert.deepEqual([helper.enabled, helper.pid, helper.reason], [false, null, "it waits for approval"]);
  assert.equal((await rig.backend("files")).phase, "Ready");
  assert.equal(await isThere(trap), false);

  // First loosen, then run.
  await agent.write(configFile, `${text}${section}[trust]\napprove = "none"\n`);
  const daemon = await rig.daemon();
  await eventually(async () => (await daemon.call("approvals", null, SIGNAL())).waiting.length === 2);
  assert.equal((await daemon.call("approvals", null, SIGNAL())).mode, "commands");
  assert.equal(await isThere(trap), false);
  await eventually(async () => {
    const lines = await readFile(path.join(rig.folder, "audit.jsonl"), "utf8");
    return /"config\.entry_waits".*\/bin\/sh/.test(lines);
  });

  // Approvals that the agent removes or writes are approved by nobody, also for the next daemon.
  await rm(path.join(rig.home.home, "approvals.sealed"));
  await rig.goDown("SIGKILL");
  await rig.comeBack();
  const after = await rig.status();
  assert.ok(after.global.conditions.some(({ code }) => code === "approvals_lost"));
  assert.equal(await isThere(trap), false);

  const shown = await rig.home.cli(["approve", "--list"]);
  assert.match(shown.stdout, /\+command = "\/bin\/sh"/);
  const asked = await rig.home.cli(["approve", "helper"]);
  assert.deepEqual([asked.code, asked.stderr.includes("--yes")], [2, true], "nobody is there to say yes");
  const status = await rig.home.cli(["status"]);
  assert.match(status.stdout, /mountaineer approve backends\.helper/);
  assert.equal(await isThere(trap), false);
  const yes = await rig.home.cli(["approve", "helper", "files", "--yes"]);
  assert.equal(yes.code, 0, yes.stderr);
  await eventually(() => isThere(trap));
});

test("E2 without a daemon nothing unapproved runs either, and approvals given then are found by the next", async (t) => {
  const rig = await startGatewayRig(t, { backends: {} });
  const files = { files: { command: process.execPath, args: [FILESYSTEM, rig.folder] } };
  await rig.edit({ backends: files });
  assert.equal((await rig.home.cli(["approve", "--yes"])).code, 0);
  await rig.untilReady("files");
  await rig.goDown("SIGTERM");
  const { trap, section } = evil(rig);
  await writeFile(rig.home.configFile, (await readFile(rig.home.configFile, "utf8")) + section);
  const tools = await rig.home.cli(["tools", "list"]);
  assert.match(tools.stdout, /write_file/);
  assert.equal(await isThere(trap), false);
  assert.match((await rig.home.cli(["config", "validate"])).stdout, /backends\.helper/);
  const set = await rig.home.cli(["config", "set", "backends.files.group", "work"]);
  assert.equal(set.code, 0, set.stderr);
  assert.match(set.stderr, /waits? for approval/);
  const report = JSON.parse((await rig.home.cli(["approve", "helper", "--yes", "--json"])).stdout);
  assert.deepEqual([report.approved, report.reload], [["backends.helper"], null]);
  await rig.comeBack();
  await eventually(() => isThere(trap));
});
