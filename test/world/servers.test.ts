// Odd servers of other people, and what becomes of them: rows of data in `servers/`, all behind one daemon.
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { parse } from "yaml";
import type { MountaineerError } from "../../src/runtime/errors.ts";
import type { Altered } from "../gateway/backends/server-sign-in/authorization-server.ts";
import type { ProtectedServerOptions } from "../gateway/backends/server-sign-in/protected-server.ts";
import {
  failureOf,
  headerOf,
  isGood,
  openSignIns,
  startSignInRig,
} from "../gateway/backends/server-sign-in/sign-in-rig.ts";
import { type GatewayRig, nodeBackend, openGatewayRig, type Section } from "../mcp/gateway-rig.ts";
import { connectLight, type Json, type LightClient } from "../mcp/light-client.ts";
import { ANSWERS_MS, eventually } from "../support/eventually.ts";
import { createOddServers, type Odd } from "./servers/odd-server.ts";

interface Call {
  /** Part of its text. Default "worked". */
  readonly gives?: string;
  /** Part of the reply as JSON. */
  readonly raw?: string;
  /** Part of the error. */
  readonly fails?: string;
  /** Made again until it comes to that. */
  readonly isLater?: boolean;
}

interface Row {
  readonly name: string;
  readonly what: string;
  readonly from?: readonly string[];
  readonly does: Odd;
  /** Further keys of the backend. */
  readonly section?: Section;
  readonly phase?: "Ready" | "Degraded" | "Failed";
  /** Part of the reason and hint of a failure. */
  readonly because?: string;
  readonly conditions?: Readonly<Record<string, string>>;
  readonly listed?: readonly string[];
  /** Of a tool: members as they are published; null: it has none such. */
  readonly published?: Readonly<Record<string, Json>>;
  readonly isCalledByEachName?: boolean;
  /** Of the tool `work`, one after the other. */
  readonly calls?: readonly Call[];
  readonly logs?: string;
  /** Over HTTP: how often it was asked then, by method. */
  readonly asked?: Readonly<Record<string, number>>;
}

interface SignInRow {
  readonly what: string;
  readonly from?: readonly string[];
  readonly server?: ProtectedServerOptions;
  readonly alters?: Readonly<Record<string, Altered>>;
  /** Part of the reason and hint. */
  readonly refused?: string;
  /** Part of the reason why a renewal ends the login, or fails until `alters` no longer applies. */
  readonly ended?: string;
  readonly later?: string;
}

const rowsOf = async <Of = Row>(name: string): Promise<readonly Of[]> =>
  parse(await readFile(join(import.meta.dirname, "servers", name), "utf8"));
const PROGRAM = join(import.meta.dirname, "servers", "odd-server.ts");
const PATIENT: Section = { init: 60, cap_fetch: 60, call: 60 };

describe("D9 D3 other people's servers", async () => {
  const [overStdio, overHttp] = await Promise.all([rowsOf("stdio.yaml"), rowsOf("http.yaml")]);
  const odd = createOddServers(new Map(overHttp.map(({ name, does }) => [name, does])));
  let folder: string;
  let rig: GatewayRig;
  let client: LightClient;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "mt-odd-"));
    await new Promise<void>((resolve) => odd.listener.listen(0, "127.0.0.1", resolve));
    const { port } = odd.listener.address() as AddressInfo;
    const backends: [string, Section][] = [];
    const add = ({ name, section }: Row, how: Section): void => {
      const timeouts = { ...PATIENT, ...Object(section?.["timeouts"]) };
      backends.push([name, { ...how, ...section, timeouts }]);
    };
    for (const row of overHttp) add(row, { url: `http://127.0.0.1:${port}/${row.name}/mcp` });
    for (const row of overStdio) {
      const file = join(folder, `${row.name}.json`);
      await writeFile(file, JSON.stringify(row.does));
      add(row, nodeBackend(PROGRAM, [file]));
    }
    rig = await openGatewayRig({
      backends: Object.fromEntries(backends),
      more: { conflict_resolution: { strategy: "prefix" } },
    });
    client = await connectLight(rig.url);
  });
  after(async () => {
    await client[Symbol.asyncDispose]();
    await rig[Symbol.asyncDispose]();
    odd.listener.closeAllConnections();
    odd.listener.close();
    await rm(folder, { recursive: true, force: true });
  });

  const toolsOf = async (name: string): Promise<readonly Json[]> => {
    const { tools } = await client.request("tools/list");
    return (tools as Json[]).filter((tool) => String(tool["name"]).startsWith(`${name}_`));
  };
  const call = async (tool: string, { gives = "worked", raw, fails, isLater = false }: Call) => {
    const body = { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: tool, arguments: {} } };
    const headers = {
      accept: "application/json, text/event-stream",
      "content-type": "application/json",
      "mcp-session-id": client.sessionId ?? "",
    };
    // Its text: a parser would lose digits.
    const make = async (): Promise<string> =>
      (await fetch(rig.url, { method: "POST", headers, body: JSON.stringify(body) })).text();
    const wanted = new RegExp(
      fails === undefined ? (raw ?? `"text":"[^"]*${gives}`) : `"error":\\{.*${fails}`,
    );
    if (isLater) await eventually(async () => wanted.test(await make()));
    else assert.match(await make(), wanted);
  };

  for (const row of [...overStdio, ...overHttp]) {
    const { name, phase = "Ready", conditions = {}, listed = ["work"], calls = [{}] } = row;
    it(`D9 ${row.what} (${name})`, async () => {
      const backend = await rig.untilBackend(name, (seen) => seen.phase === phase);
      if (phase === "Failed") {
        const hints = backend.conditions.map(({ title, hint }) => `${title} ${hint}`);
        assert.match(`${backend.reason} ${backend.last_error} ${hints}`, new RegExp(row.because ?? "^$"));
        assert.deepEqual(await toolsOf(name), []);
        return;
      }
      const tools = await toolsOf(name);
      const names = tools.map((tool) => String(tool["name"]));
      if (row.isCalledByEachName === true) {
        assert.equal(tools.length, row.does.tools?.length);
        for (const each of names) assert.match(each, /^[\w-]{1,64}$/);
        for (const each of names) await call(each, {});
      } else
        assert.deepEqual(
          names,
          listed.map((tool) => `${name}_${tool}`),
        );
      for (const [tool, members] of Object.entries(row.published ?? {}))
        for (const [key, value] of Object.entries(members))
          assert.deepEqual(tools.find((one) => one["name"] === `${name}_${tool}`)?.[key] ?? null, value);
      for (const each of calls) await call(`${name}_work`, each);
      const { conditions: found } = await rig.backend(name);
      assert.deepEqual(found.map(({ code }) => code).toSorted(), Object.keys(conditions).toSorted());
      for (const { code, title, hint } of found)
        assert.match(`${title} ${hint}`, new RegExp(conditions[code] ?? "^$"));
      for (const [method, count] of Object.entries(row.asked ?? {}))
        assert.equal(odd.asked(name, method), count, method);
      if (row.logs === undefined) return;
      const kept = await (await rig.daemon()).call(
        "logs",
        { backend: name },
        AbortSignal.timeout(ANSWERS_MS),
      );
      assert.ok(JSON.stringify(kept).includes(row.logs));
    });
  }

  it("D9 D3 a client on the official SDK, which compiles each outputSchema, lists all of them", async () => {
    const strict = new Client({ name: "strict", version: "1" });
    await strict.connect(new StreamableHTTPClientTransport(new URL(rig.url)));
    const { tools } = await strict.listTools();
    assert.equal(tools.length, (await client.tools()).length);
    await strict.close();
  });
});

describe("D9 E1 signing in to other people's servers", { concurrency: 4 }, async () => {
  for (const row of await rowsOf<SignInRow>("sign-in.yaml")) {
    const { what, server = {}, alters = {}, refused, ended, later } = row;
    it(`D9 E1 ${what}`, async (t) => {
      const rig = await startSignInRig(t, { server, alters });
      const signedIn = rig.signIn();
      if (refused === undefined) {
        const { accessToken, refreshToken } = await signedIn;
        assert.ok(await isGood(rig, `Bearer ${accessToken}`));
        if (refreshToken === null) return;
        const { carried, refused, notice } = openSignIns(t, rig);
        const token = await carried();
        rig.authorization.endAccessTokens();
        const outcome = await refused(token);
        assert.equal(rig.authorization.count("/token"), 2);
        if (ended === undefined && later === undefined) assert.ok(await isGood(rig, headerOf(outcome)));
        else assert.match(failureOf(outcome).message, new RegExp(ended ?? later ?? "^$"));
        assert.equal(notice()?.code, (ended && "login_needed") ?? (later && "token_not_renewed"));
        if (later === undefined) return;
        delete Object(alters)["/token"];
        const next = openSignIns(t, rig);
        assert.ok(await isGood(rig, headerOf(await next.refused(await next.carried()))));
      } else
        await assert.rejects(signedIn, (error: MountaineerError) => {
          assert.match(`${error.message} ${error.hint}`, new RegExp(refused));
          return true;
        });
    });
  }
});
