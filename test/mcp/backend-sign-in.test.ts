// The running daemon, and a login by the command beside it.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { agree, startAuthorizationServer } from "../gateway/backends/sign-in/authorization-server.ts";
import { startProtectedServer } from "../gateway/backends/sign-in/protected-server.ts";
import { LIGHT_SERVER } from "./fixture-programs.ts";
import { nodeBackend, SETTLES_MS, startGatewayRig } from "./gateway-rig.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

test("E1 a daemon says that a backend wants a login, and serves it as soon as a person has signed in", async (t) => {
  const authorization = await startAuthorizationServer(t);
  const server = await startProtectedServer(t, authorization);
  const rig = await startGatewayRig(t, {
    backends: {
      // The first of two that offer `echo`.
      tickets: { url: server.url },
      light: nodeBackend(LIGHT_SERVER),
    },
  });
  const failed = await rig.untilBackend("tickets", ({ phase }) => phase === "Failed");
  assert.equal(failed.conditions[0]?.code, "login_needed");
  await rig.untilReady("light");
  const child = spawn(process.execPath, [MAIN, "backends", "login", "tickets"], {
    env: { PATH: "/nonexistent", HOME: rig.folder, MOUNTAINEER_HOME: rig.home.home, NO_COLOR: "1" },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  let agreed: Promise<string> | null = null;
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said += text;
    const [address = null] = /http:\/\/\S+(?=\s)/.exec(said) ?? [];
    if (address !== null) agreed ??= agree(address, authorization.issuer);
  });
  const [code] = await once(child, "close");
  assert.equal(code, 0, said);
  await agreed;
  await rig.untilReady("tickets");
  const daemon = await rig.daemon();
  const request = { tool: "echo", arguments: { said: "hello" } };
  const { result, error } = await daemon.gateway.call(request, AbortSignal.timeout(SETTLES_MS));
  assert.equal(error, null);
  assert.match(JSON.stringify(result), /hello/);
});
