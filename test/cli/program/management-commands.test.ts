// `mountaineer open` and `server-token`, the real program and daemon; and what they open across a handover.

import assert from "node:assert/strict";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { shellWord } from "../../../src/runtime/text/plain-text.ts";
import { handOver } from "../../mcp/gateway-rig.ts";
import { createTestHome } from "../../support/daemon.ts";
import { ends } from "../../support/ends.ts";
import { eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/free-port.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { NO_TERMINAL, openTerminal } from "../../tui/terminal.ts";
import { COMMAND, environmentOf } from "../command-line.ts";

const MCP_TOKEN = "token-of-an-agent";

test("E2 B11 each token opens only its own API, and a signed-in page survives a handover", async (t) => {
  const port = await freePort();
  const config = `[server]\nport = ${port}\n[incoming_auth]\ntype = "local"\n[[incoming_auth.users]]\nname = "agent"\ntoken = "\${AGENT}"\n`;
  const home = await createTestHome({
    home: await temporaryFolder(t),
    config,
    kept: true,
    env: { AGENT: MCP_TOKEN, BROWSER: "", DISPLAY: "", WAYLAND_DISPLAY: "" },
  });
  const monitor = await home.startMonitor();
  t.after(() => monitor[Symbol.asyncDispose]());
  const origin = `http://127.0.0.1:${port}`;
  const at = (path: string, headers: Record<string, string> = {}, init: RequestInit = {}) =>
    fetch(`${origin}${path}`, { ...init, headers });

  const made = await home.cli(["server-token"]);
  const token = made.stdout.trim();
  assert.match(token, /^mtn_[\w-]{43}$/);
  assert.equal((await stat(join(home.home, "management.json"))).mode & 0o777, 0o600);
  const bearer = (text: string) => ({ Authorization: `Bearer ${text}` });
  assert.equal((await at("/manage/v1/status", bearer(token))).status, 200);
  assert.equal((await at("/manage/v1/status", bearer(MCP_TOKEN))).status, 401);
  const mcp = { "Content-Type": "application/json", Accept: "application/json, text/event-stream" };
  const initialize = JSON.stringify({
    jsonrpc: "2.0",
    id: 1,
    method: "initialize",
    params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "t", version: "1" } },
  });
  const begin = (text: string) =>
    at("/mcp", { ...mcp, ...bearer(text) }, { method: "POST", body: initialize });
  assert.equal((await begin(token)).status, 401);
  assert.equal((await begin(MCP_TOKEN)).status, 200);
  assert.equal((await at("/manage/v1/health")).status, 200);

  const opened = await ends(home.cli(["open"]), 0);
  const [, code = ""] = /^http:\/\/127\.0\.0\.1:\d+\/#([\w-]{43})$/.exec(opened.stdout.trim()) ?? [];
  const own = { "Content-Type": "application/json" };
  const signedIn = await at("/page/v1/session", own, {
    method: "POST",
    body: JSON.stringify({ link: code }),
  });
  assert.equal(signedIn.status, 200);
  const session = bearer(((await signedIn.json()) as { session: string }).session);
  const events = await at("/manage/v1/events", session);
  assert.equal(events.status, 200);
  const admin = await home.cli(["open", "--admin", "--print"]);
  assert.match(admin.stdout, /^http:\/\/127\.0\.0\.1:\d+\/#[\w-]{43}\.admin\n$/);
  assert.match(admin.stderr, /type this code in the page within three minutes: [A-Z2-9]{4}-[A-Z2-9]{4}$/m);
  const { url, code: shown } = JSON.parse((await home.cli(["open", "--admin", "--json"])).stdout);
  assert.match(`${url} ${shown}`, /#[\w-]{43}\.admin [A-Z2-9]{4}-[A-Z2-9]{4}$/);
  const printed = await home.cli(["open", "--print"]);
  const unused = printed.stdout.trim().split("#")[1] ?? "";

  await handOver({ home });
  // Its stream has ended, so that the browser opens it again.
  await events.body?.pipeTo(new WritableStream());
  const found = await eventually(async () => {
    const answer = await at("/page/v1/session", session);
    return answer.status === 200 ? answer : null;
  });
  assert.equal(((await found.json()) as { may_run_commands: boolean }).may_run_commands, false);
  assert.equal((await at("/manage/v1/status", bearer(token))).status, 200);
  const late = await at("/page/v1/session", own, { method: "POST", body: JSON.stringify({ link: unused }) });
  assert.equal(late.status, 200);

  await ends(home.cli(["server-token", "--remove"]), 0);
  assert.equal((await at("/manage/v1/status", bearer(token))).status, 401);
  for (const line of await home.log()) {
    const said = JSON.stringify(line);
    for (const secret of [token, code, unused]) assert.ok(!said.includes(secret));
  }
});

test("F2 with shares and no gateway open serves the page to the signed-in person until the last session ends, and survives a handover", async (t) => {
  const home = await createTestHome({ home: await temporaryFolder(t), config: "", kept: true });
  const monitor = await home.startMonitor();
  t.after(() => monitor[Symbol.asyncDispose]());
  const open = async (): Promise<URL> => {
    const { stdout } = await ends(home.cli(["open", "--print"]), 0);
    return new URL(stdout.trim());
  };
  const { origin, hostname, hash } = await open();
  assert.equal(hostname, "127.0.0.1");
  assert.equal((await open()).origin, origin, "there is one address");
  const at = (path: string, headers: Record<string, string> = {}, init: RequestInit = {}) =>
    fetch(`${origin}${path}`, { ...init, headers });
  assert.equal((await at("/manage/v1/status")).status, 401);
  assert.equal((await at("/mcp")).status, 404);
  const own = { "Content-Type": "application/json" };
  const body = JSON.stringify({ link: hash.slice(1) });
  const signedIn = await at("/page/v1/session", own, { method: "POST", body });
  assert.equal(signedIn.status, 200);
  const { session: secret } = (await signedIn.json()) as { session: string };
  const session = { Authorization: `Bearer ${secret}` };
  await handOver({ home });
  await eventually(async () => (await at("/manage/v1/status", session).catch(() => null))?.status === 200);
  assert.equal((await at("/page/v1/session", session, { method: "DELETE" })).status, 204);
  // The second link is still good, for a minute.
  assert.equal((await at("/")).status, 200);
});

test("F4 in a home without anything, the tab that a person's terminal opens may set it up; a program's tab and later ones may not", {
  skip: NO_TERMINAL,
}, async (t) => {
  const home = await createTestHome({ home: await temporaryFolder(t), config: "" });
  const monitor = await home.startMonitor();
  t.after(() => monitor[Symbol.asyncDispose]());
  const begin = async (link: URL) => {
    const answer = await fetch(`${link.origin}/page/v1/session`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ link: link.hash.slice(1) }),
    });
    const { session, right } = (await answer.json()) as { session: string; right?: string };
    const end = () =>
      fetch(`${link.origin}/page/v1/session`, {
        method: "DELETE",
        headers: { Authorization: `Bearer ${session}` },
      });
    return { right, end };
  };
  const inTerminal = async (): Promise<URL> => {
    const command = `${[...COMMAND, "open", "--print"].map(shellWord).join(" ")}; exec cat`;
    await using terminal = await openTerminal({
      ...{ columns: 150, rows: 20, command },
      env: environmentOf({ home: home.home }),
    });
    const [line = ""] = (await terminal.until("http://")).filter((each) => each.startsWith("http://"));
    return new URL(line);
  };
  const ofProgram = await begin(new URL((await home.cli(["open", "--print"])).stdout.trim()));
  assert.equal(ofProgram.right, undefined);
  await ofProgram.end();
  const first = await begin(await inTerminal());
  assert.equal(typeof first.right, "string");
  await first.end();
  const early = await inTerminal();
  assert.equal((await home.cli(["backends", "add", "--disabled", "x", "--", "node", "x.js"])).code, 0);
  assert.equal((await begin(early)).right, undefined, "a server was added before the link was used");
});

test("without a daemon there is nothing to open", async (t) => {
  const home = await createTestHome({ home: await temporaryFolder(t), config: "" });
  for (const args of [["open", "--print"], ["server-token"]]) {
    await ends(home.cli(args), 8, "");
  }
});
