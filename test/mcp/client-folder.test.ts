// Servers in their clients' folders: `mountaineer mcp` started in a project, before the real daemon, which hands over and is
// killed.
import assert from "node:assert/strict";
import { mkdir, realpath } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { LIGHT_SERVER } from "./fixture-programs.ts";
import { handOver, nodeBackend, startGatewayRig } from "./gateway-rig.ts";

const MOUNTAINEER = path.resolve(import.meta.dirname, "../../bin/mountaineer");

test("D7 each client's server works in the folder in which its client was started, also after a handover and a kill -9", async (t) => {
  const work = path.join(await realpath(await temporaryFolder(t)), "work");
  await mkdir(work);
  const light = nodeBackend(LIGHT_SERVER, [], { cwd: "client", instances: "per-client", start: "on-demand" });
  // All of it stands at the first start, and is approved with it.
  const sections = { backends: { light }, more: { trust: { client_folders: [work] } } };
  const rig = await startGatewayRig(t, sections, { kept: true });
  const open = async (folder: string): Promise<Client> => {
    await mkdir(folder, { recursive: true });
    const env = { ...process.env, MOUNTAINEER_HOME: rig.home.home, HOME: rig.folder } as Record<
      string,
      string
    >;
    const client = new Client({ name: "in-a-folder", version: "1.0.0" });
    await client.connect(
      new StdioClientTransport({ command: MOUNTAINEER, args: ["mcp"], env, cwd: folder }) as Transport,
    );
    rig.beforeStop(() => client.close());
    return client;
  };
  const folders = ["one", "two words", "../elsewhere"].map((name) => path.join(work, name));
  const [one, two, apart] = await Promise.all(folders.map(open));
  assert.ok(one !== undefined && two !== undefined && apart !== undefined);
  const cwd = async (client: Client): Promise<string> => {
    const { content } = await client.callTool({ name: "cwd", arguments: {} });
    return (content as readonly { readonly text: string }[])[0]?.text ?? "";
  };
  const allWork = async (): Promise<true> => {
    assert.deepEqual(
      await Promise.all([one, two].map(cwd)),
      folders.slice(0, 2).map((each) => `"${each}"`),
    );
    await assert.rejects(cwd(apart), /is not in or below one of `\[trust\]\.client_folders`/);
    return true;
  };
  await eventually(async () => (await cwd(one)).includes("one"));
  await allWork();
  await handOver(rig);
  await allWork();
  if (await rig.killDaemon()) await rig.comeBack();
  await eventually(allWork);
});
