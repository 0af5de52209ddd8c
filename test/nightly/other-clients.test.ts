// Clients that people have, from npm, in front of a gateway with a server whose lists are malformed: each lists whatever is
// sound. Asked directly, each of them refuses that server's tools: that is what makes them worth asking.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { access, realpath } from "node:fs/promises";
import path from "node:path";
import { describe, type TestContext, test } from "node:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { LIGHT_SERVER, MALFORMED_SERVER } from "../mcp/fixture-programs.ts";
import { type GatewayRig, nodeBackend, openGatewayRig } from "../mcp/gateway-rig.ts";
import { connectLight } from "../mcp/light-client.ts";
import { pluck } from "../support/pluck.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { fromNpm } from "./installed.ts";

const PACKAGES = [
  "@anthropic-ai/claude-code@2.1.197",
  "@google/gemini-cli@0.61.0",
  "@modelcontextprotocol/inspector@0.15.0",
  "mcp-remote@0.15.1",
  "mcporter@0.9.0",
];
const CLIENT_MS = 90_000;

interface End {
  readonly code: number | null;
  readonly text: string;
}

interface Scene {
  readonly rig: GatewayRig;
  readonly names: readonly string[];
  /** Runs a client's program, with a home of its own; `text` is all that it says. */
  run(program: string, args: readonly string[]): Promise<End>;
  /** Where a client's program is. */
  program(name: string): Promise<string>;
  readonly env: Readonly<Record<string, string>>;
}

function end(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  cwd: string,
  ms: number,
): Promise<End> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env, cwd, stdio: ["ignore", "pipe", "pipe"], timeout: ms });
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, text }));
  });
}

async function scene(t: TestContext): Promise<Scene | null> {
  const home = await temporaryFolder(t);
  let folder: string;
  try {
    folder = await fromNpm(...PACKAGES);
  } catch (error) {
    t.skip(`npm cannot fetch the clients: ${String(error).slice(0, 300)}`);
    return null;
  }
  const rig = await openGatewayRig({
    backends: {
      well: nodeBackend(LIGHT_SERVER, [], { env: { LIGHT_PREFIX: "well_" } }),
      bad: nodeBackend(MALFORMED_SERVER),
    },
  });
  t.after(() => rig[Symbol.asyncDispose]());
  await rig.untilReady("well");
  const bad = await rig.untilBackend("bad", ({ phase }) => phase === "Degraded");
  assert.match(bad.reason ?? "", /server bad: tool "tools_22" is withheld/u, "the culprit is named");
  await using light = await connectLight(rig.url);
  const env = {
    PATH: process.env["PATH"] ?? "",
    HOME: home,
    CLAUDE_CONFIG_DIR: path.join(home, ".claude"),
    DISABLE_AUTOUPDATER: "1",
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
    GEMINI_CLI_TRUST_WORKSPACE: "true",
  };
  const program = (name: string): Promise<string> => realpath(path.join(folder, name));
  return {
    rig,
    names: await light.tools(),
    env,
    program,
    async run(name, args) {
      const file = await program(name);
      await access(file);
      const isScript = /\.[cm]?js$/u.test(file);
      const [command, ...rest] = isScript ? [process.execPath, file, ...args] : [file, ...args];
      return end(command ?? "", rest, env, home, CLIENT_MS);
    },
  };
}

/** The names in what a client printed as JSON, whatever it says before. */
function toolNames(text: string): string[] {
  const { tools } = JSON.parse(text.slice(text.indexOf("{"), text.lastIndexOf("}") + 1));
  assert.ok(Array.isArray(tools), text.slice(0, 500));
  return tools.map(({ name }) => String(name));
}

describe("clients from npm, before one server whose lists are malformed", () => {
  test("D3 Claude Code, Gemini CLI, inspector, mcporter and mcp-remote accept every sound entry", async (t) => {
    const s = await scene(t);
    if (s === null) return;
    const { url } = s.rig;
    assert.ok(s.names.includes("well_echo") && s.names.includes("tools_16") && !s.names.includes("tools_22"));

    await t.test("Claude Code", async () => {
      for (const args of [
        ["mcp", "add", "--transport", "http", "gateway", url],
        ["mcp", "add", "direct", "--", process.execPath, MALFORMED_SERVER],
      ]) {
        const added = await s.run("claude", args);
        assert.equal(added.code, 0, added.text);
      }
      const { text } = await s.run("claude", ["mcp", "list"]);
      const state = (name: string): string =>
        text
          .split("\n")
          .find((line) => line.startsWith(`${name}: `))
          ?.split(" - ")
          .at(-1) ?? text;
      assert.match(state("gateway"), /^\S+ Connected$/u);
      assert.match(state("direct"), /fetch failed/u, "asked directly it has none of its tools");
    });

    await t.test("Gemini CLI", async () => {
      // It says whether it came to speak MCP with a server, and asks for no account for that; tools it names only to its model.
      for (const args of [
        ["mcp", "add", "--scope", "user", "--transport", "http", "gateway", url],
        ["mcp", "add", "--scope", "user", "nobody", process.execPath, "--", "-e", "0"],
      ]) {
        const added = await s.run("gemini", args);
        assert.equal(added.code, 0, added.text);
      }
      const { text } = await s.run("gemini", ["mcp", "list"]);
      assert.ok(text.includes(`gateway: ${url} (http) - Connected`), text);
      assert.match(text, /nobody: .* - Disconnected/u);
    });

    await t.test("inspector", async () => {
      const list = (...args: readonly string[]): Promise<End> =>
        s.run("mcp-inspector", ["--cli", ...args, "--method", "tools/list"]);
      const { code, text } = await list(url, "--transport", "http");
      assert.equal(code, 0, text);
      assert.deepEqual(toolNames(text), s.names);
      assert.notEqual((await list(process.execPath, MALFORMED_SERVER)).code, 0);
    });

    await t.test("mcporter", async () => {
      const { text } = await s.run("mcporter", ["list", "--http-url", url, "--allow-http", "--json"]);
      assert.deepEqual(toolNames(text).toSorted(), s.names.toSorted());
      const direct = await s.run("mcporter", [
        "list",
        "--stdio",
        `${process.execPath} ${MALFORMED_SERVER}`,
        "--json",
      ]);
      assert.doesNotMatch(direct.text, /"status": "ok"/u);
    });

    await t.test("mcp-remote, and the official SDK behind it", async () => {
      const args = [await s.program("mcp-remote"), url];
      const client = new Client({ name: "behind", version: "1" });
      await client.connect(
        new StdioClientTransport({ command: process.execPath, args, env: { ...s.env }, stderr: "ignore" }),
      );
      try {
        const { tools } = await client.listTools();
        assert.deepEqual(pluck(tools, "name"), s.names);
        const { prompts } = await client.listPrompts();
        assert.ok(prompts.length > 0);
      } finally {
        await client.close();
      }
    });
  });
});
