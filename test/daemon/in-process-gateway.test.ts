import assert from "node:assert/strict";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { openGatewayInProcess } from "../../src/daemon/in-process-gateway.ts";
import { LIGHT_SERVER } from "../mcp/fixture-programs.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const { signal } = new AbortController();

const open = (home: string) =>
  openGatewayInProcess({ home, configPath: null, intent: "look", command: "call", signal });

async function homeWith(t: TestContext, config: string): Promise<string> {
  const home = join(await temporaryFolder(t), "home");
  await mkdir(home, { mode: 0o700 });
  await writeFile(join(home, "config.toml"), config, { mode: 0o600 });
  return home;
}

const backend = `[backends.a]
command = ${JSON.stringify(process.execPath)}
args = [${JSON.stringify(LIGHT_SERVER)}]
cwd = "/"
`;

test("E3 a command without a daemon calls a tool, and writes neither pins nor names into the home", async (t) => {
  const home = await homeWith(t, `[trust]\napprove = "none"\n${backend}`);
  {
    await using gateway = await open(home);
    const { result } = await gateway.ask("call", { tool: "echo", arguments: { text: "here" } }, signal);
    assert.match(JSON.stringify(result), /here/);
    const { backends } = await gateway.status(signal);
    assert.deepEqual(
      backends?.map(({ name, phase }) => [name, phase]),
      [["a", "Ready"]],
    );
  }
  assert.deepEqual(await readdir(home), ["config.toml"]);
});

test("C3 a command without a daemon says that no backend is configured, and starts none within its own", async (t) => {
  await assert.rejects(open(await homeWith(t, "")), {
    code: "gateway_off",
    message: "no backend is configured",
  });
  const home = await homeWith(t, backend);
  process.env["MOUNTAINEER_WITHIN"] = JSON.stringify([join(home, "config.toml")]);
  t.after(() => delete process.env["MOUNTAINEER_WITHIN"]);
  await assert.rejects(open(home), { code: "gateway_off", message: /would start itself again and again/ });
});
