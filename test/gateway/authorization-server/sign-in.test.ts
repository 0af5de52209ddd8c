// Clients that know nothing but the gateway's address, and a person who lets them in.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Client as Client2, StreamableHTTPClientTransport as Http2 } from "@modelcontextprotocol/client";
import type { OAuthClientProvider } from "@modelcontextprotocol/sdk/client/auth.js";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { AuthUser } from "../../../src/config/snapshot.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { pluck } from "../../support/pluck.ts";
import { post } from "../client-sign-in/signed-gateway.ts";
import { policy } from "../middleware/requests.ts";
import { serverOn } from "../serving/gateway-rig.ts";
import {
  ANN,
  AS_ANN,
  approve,
  BEN,
  CALLBACK,
  ENVIRONMENT,
  METADATA,
  plainClient,
  queryFor,
  RENEWED_ANN,
  signedIn,
  startDoor,
  storeInMemory,
} from "./rig.ts";

const CLIENTS = {
  one: { Client, Http: StreamableHTTPClientTransport },
  two: { Client: Client2, Http: Http2 },
} as const;

for (const [version, made] of Object.entries(CLIENTS))
  test(`E1 the official client of version ${version} signs in with the gateway itself, once a person typed the page's code`, async (t) => {
    const { Client: Official, Http } = made as typeof CLIENTS.one;
    const door = await startDoor(t);
    const kept: Record<string, never> & { verifier?: string } = {};
    let back = new URLSearchParams();
    const provider: OAuthClientProvider = {
      redirectUrl: CALLBACK,
      clientMetadata: METADATA as OAuthClientProvider["clientMetadata"],
      clientInformation: () => kept["client"],
      saveClientInformation: (client) => void Object.assign(kept, { client }),
      tokens: () => kept["tokens"],
      saveTokens: (tokens) => void Object.assign(kept, { tokens }),
      saveCodeVerifier: (text) => void Object.assign(kept, { verifier: text }),
      codeVerifier: () => kept.verifier ?? "",
      async redirectToAuthorization(url) {
        const browser = plainClient(door);
        const page = await browser.authorize(Object.fromEntries(url.searchParams));
        assert.equal((await browser.answer(page, null)).status, 200, "it waits");
        assert.ok(await approve(door.gateway, page.code));
        back = new URL(String((await browser.answer(page, null)).headers["location"])).searchParams;
      },
    };
    const transport = () => new Http(new URL(door.url), { authProvider: provider });
    const client = () => new Official({ name: "test", version: "1" });
    await assert.rejects(client().connect(transport() as never));
    await transport().finishAuth(version === "one" ? (back.get("code") ?? "") : (back as never));
    const connected = client();
    t.after(() => connected.close());
    await connected.connect(transport() as never);
    assert.deepEqual(pluck((await connected.listTools()).tools, "name"), ["read_file", "write_file"]);
    assert.equal(door.gateway.clients.grants.list[0]?.client.name, "A Client");
  });

const MCP = {
  jsonrpc: "2.0",
  id: 1,
  method: "initialize",
  params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "test", version: "1" } },
};
const PROXIED = { "x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.9" };

test("E1 each address has its own documents, issuer and tokens, and refuses tokens of the others", async (t) => {
  const door = await startDoor(t, { publicUrl: "https://old.example.com/mcp" });
  await door.reload({ server: serverOn(door.port, { publicUrl: "https://mcp.example.com/mcp" }) });
  const own = `127.0.0.1:${door.port}`;
  for (const [host, base, headers] of [
    [own, `http://${own}`, {}],
    [`localhost:${door.port}`, `http://localhost:${door.port}`, {}],
    ["mcp.example.com", "https://mcp.example.com", PROXIED],
  ] as const) {
    const client = plainClient(door, host, headers);
    const server = JSON.parse((await client.get("/.well-known/oauth-authorization-server")).text);
    assert.deepEqual(
      [server.issuer, server.token_endpoint, server.code_challenge_methods_supported],
      [base, `${base}/token`, ["S256"]],
    );
    for (const path of ["/mcp", "/mcp/work", "/sse"]) {
      const document = JSON.parse((await client.get(`/.well-known/oauth-protected-resource${path}`)).text);
      assert.deepEqual([document.resource, document.authorization_servers], [`${base}${path}`, [base]]);
    }
  }
  const at = async (path: string, token: string, host = own) =>
    (await post(`http://127.0.0.1:${door.port}${path}`, token, MCP, host === own ? {} : { host })).status;
  const all = await signedIn(door);
  const group = await signedIn(door, AS_ANN, { resource: `http://${own}/mcp/work` });
  assert.deepEqual([await at("/mcp", all.access), await at("/mcp/work", all.access)], [200, 401]);
  assert.deepEqual([await at("/mcp", group.access), await at("/mcp/work", group.access)], [401, 200]);
  assert.equal(all.back.searchParams.get("iss"), `http://${own}`);
  const elsewhere = plainClient(door, `localhost:${door.port}`);
  const again = await elsewhere.refresh({
    client_id: all.id,
    refresh_token: all.refresh,
    resource: `http://${own}/mcp`,
  });
  assert.equal(again.body["error"], "invalid_target");
  for (const resource of ["https://evil.example/mcp", `http://${own}/mcp/nothing`, `http://${own}/other`]) {
    const page = await all.client.authorize(queryFor(all.id, { resource }));
    assert.equal(page.status, 400, resource);
  }
});

test("E1 where a token could be read on its way there is no sign-in, and the refusal says why", async (t) => {
  const door = await startDoor(t, { publicUrl: "https://mcp.example.com/mcp" });
  const own = `127.0.0.1:${door.port}`;
  for (const [host, headers, why] of [
    ["mcp.example.com", { ...PROXIED, "x-forwarded-proto": "http" }, /https only/],
    [own, PROXIED, /pass on the Host header/],
  ] as const) {
    const client = plainClient(door, host, headers);
    const refused = await client.get("/mcp");
    assert.equal(refused.headers["www-authenticate"], "Bearer");
    assert.match(refused.text, why);
    assert.equal((await client.get("/.well-known/oauth-authorization-server")).status, 404);
    assert.equal((await client.authorize(queryFor("x"))).status, 403);
  }
  const off = await startDoor(t, { oauth: false });
  const closed = plainClient(off);
  assert.equal((await closed.get("/mcp")).headers["www-authenticate"], "Bearer");
  assert.deepEqual(
    [(await closed.get("/authorize")).status, (await closed.register(METADATA)).status],
    [404, 404],
  );
});

test("E1 every request asks a person: what one approved is not remembered, and only the browser that asked sees its page", async (t) => {
  const door = await startDoor(t);
  const { client, id } = await signedIn(door);
  const [first, second] = [await client.authorize(queryFor(id)), await client.authorize(queryFor(id))];
  assert.notEqual(first.code, second.code);
  assert.match(first.text, /The program calls itself<\/dt><dd>A Client/);
  assert.match(first.text, /a program on the computer where the browser is/);
  assert.doesNotMatch(first.text, /ann|files/, "users and servers are not for everybody");
  assert.equal((await client.answer({ ...first, cookie: second.cookie }, null)).status, 410);
  assert.ok(await approve(door.gateway, first.code));
  assert.equal((await client.answer(second, null)).status, 200, "the other one still waits");
  assert.equal((await client.answer(first, null)).status, 302);
  assert.equal((await client.answer(first, null)).status, 410, "once");
  const refused = await client.answer(second, [["answer", "refuse"]]);
  assert.match(refused.text, /http-equiv="refresh" content="0;url=\/authorize\//);
  const back = new URL(String((await client.answer(second, null)).headers["location"]));
  assert.deepEqual([back.searchParams.get("error"), back.searchParams.get("code")], ["access_denied", null]);
  const own = { ...METADATA, redirect_uris: ["elsewhere:/cb"] };
  const known = (await client.register(own)).body["client_id"] ?? "";
  const unknown = await client.authorize(queryFor(known, { redirect_uri: "elsewhere:/cb" }));
  assert.match(unknown.text, /<h1>Let the program that opens elsewhere: links use Mountaineer/);
});

test("E1 the user's own token, typed in the page, lets the program in with less than the user may", async (t) => {
  const door = await startDoor(t);
  const client = plainClient(door);
  const id = (await client.register(METADATA)).body["client_id"] ?? "";
  const page = await client.authorize(queryFor(id));
  const wrong = await client.answer(page, [
    ["answer", "token"],
    ["token", "nonsense"],
  ]);
  assert.equal(wrong.status, 401);
  assert.equal(
    (
      await client.answer(page, [
        ["answer", "allow"],
        ["server", "files"],
      ])
    ).status,
    200,
  );
  const refused = new URL(String((await client.answer(page, null)).headers["location"]));
  assert.equal(refused.searchParams.get("error"), "access_denied", "nothing is allowed before the token");
  const other = await client.authorize(queryFor(id));
  const choice = await client.answer(other, TYPED);
  assert.match(choice.text, /As the user <b>ann<\/b>.*value="files" checked> files: 2 tools/s);
  assert.match(choice.text, /calls itself<\/dt><dd>A Client<.*published by<\/dt><dd>no one/s);
  await client.answer(other, [...ALLOW, ["server", "files"], ["server", "unseen"], ["read_only", "yes"]]);
  assert.equal((await redeemed(client, id, other)).status, 200);
  const all = await client.authorize(queryFor(id));
  for (const form of [TYPED, [...ALLOW, ["all", "yes"]]] as const) await client.answer(all, form);
  assert.equal((await redeemed(client, id, all)).status, 200);
  assert.deepEqual(
    door.gateway.clients.grants.list.map(({ user, read_only, backends }) => [user, read_only, backends]),
    [
      ["ann", true, ["files"]],
      ["ann", false, null],
    ],
    "every server that was shown is not all servers",
  );
});

const ALLOW = [["answer", "allow"]] as const;
const TYPED = [
  ["answer", "token"],
  ["token", ENVIRONMENT.ANN],
] as const;

async function redeemed(
  client: ReturnType<typeof plainClient>,
  id: string,
  page: { readonly path: string; readonly cookie: string },
) {
  const { headers } = await client.answer(page, null);
  const code = URL.parse(String(headers["location"]))?.searchParams.get("code") ?? "";
  return client.redeem({ client_id: id, code, redirect_uri: CALLBACK });
}

test("E1 a program has the rights its user has now, within its limits, and none once its grant ends", async (t) => {
  const readers = {
    defaultEffect: "deny",
    policies: [policy("allow", { users: ["ann"], backends: ["files"] })],
  } as const;
  const door = await startDoor(t, { authorization: readers });
  const names = async (token: string): Promise<string> => {
    const opened = await post(door.url, token, MCP);
    const session = { "mcp-session-id": opened.session ?? "" };
    return (await post(door.url, token, { jsonrpc: "2.0", id: 2, method: "tools/list" }, session)).body;
  };
  const wide = await signedIn(door);
  const narrow = await signedIn(door, { ...AS_ANN, backends: [] });
  assert.match(await names(wide.access), /read_file.*write_file/);
  assert.doesNotMatch(await names(narrow.access), /read_file/);
  await door.reload({ authorization: { ...readers, policies: [policy("allow", { users: ["ben"] })] } });
  assert.doesNotMatch(await names(wide.access), /read_file/);
  await door.reload({ authorization: readers });
  const { grants } = door.gateway.clients;
  const [first] = grants.list;
  await grants.narrow([first?.id ?? ""], { backends: ["other"], read_only: false });
  assert.doesNotMatch(await names(wide.access), /read_file/, "narrowed at once");
  await grants.narrow([first?.id ?? ""], { backends: null, read_only: false });
  assert.doesNotMatch(await names(wide.access), /read_file/, "and never widened");
  await grants.end([first?.id ?? ""]);
  assert.equal((await post(door.url, wide.access, MCP)).status, 401);
});

test("E1 a new token ends what waits on the old one at once, and what that gave with its overlap; the owner's gifts stay", async (t) => {
  const clock = createManualClock(Date.UTC(2026, 0, 1));
  const door = await startDoor(t, { clock });
  const { clients } = door.gateway;
  const status = async (token = "") => (await post(door.url, token, MCP)).status;
  const auth = (users: readonly AuthUser[]) => ({
    incomingAuth: { type: "local", users, oauth: true } as const,
  });
  const { session } = await post(door.url, ENVIRONMENT.ANN, MCP);
  const [given, kept] = [await signedIn(door), await signedIn(door)];
  const { client, id } = given;
  const byToken = async () => {
    const page = await client.authorize(queryFor(id));
    await client.answer(page, TYPED);
    return page;
  };
  const [typed, allowed, used, alsoKept] = [
    await byToken(),
    await byToken(),
    await byToken(),
    await byToken(),
  ];
  for (const page of [allowed, used, alsoKept]) await client.answer(page, [...ALLOW, ["all", "yes"]]);
  const { access_token: own } = (await redeemed(client, id, used)).body;
  const { access_token: keptOwn } = (await redeemed(client, id, alsoKept)).body;
  await clients.change(
    clients.grants.list.slice(-1).map((grant) => grant.id),
    "keep",
  );
  const oldUntil = new Date(clock.wallMs() + 3_600_000).toISOString();
  await door.reload(auth([{ ...RENEWED_ANN, oldToken: ANN.token, oldUntil }, BEN]));
  for (const form of [[...ALLOW, ["all", "yes"]], TYPED] as const)
    assert.match((await client.answer(typed, form)).text, /replaced by a newer one/);
  assert.equal((await redeemed(client, id, allowed)).status, 400, "allowed, and not exchanged yet");
  assert.deepEqual([await status(own), await status(given.access), await status(keptOwn)], [200, 200, 200]);
  await clock.advance(3_599_000);
  assert.equal(clients.grants.list.length, 4);
  await clock.advance(1_000);
  await eventually(() => clients.grants.list.length === 3);
  const [listing, of] = [{ ...MCP, method: "tools/list" }, { "mcp-session-id": session ?? "" }];
  assert.equal((await post(door.url, ENVIRONMENT.NEW, listing, of)).status, 404, "its session has ended");
  for (const { client: program, id: of, refresh } of [given, kept])
    assert.equal((await program.refresh({ client_id: of, refresh_token: refresh })).status, 200);
  await door.reload(auth([ANN, BEN]));
  assert.equal(clients.grants.list.length, 3, "another token without an overlap");
  await door.reload(auth([BEN]));
  await eventually(() => clients.grants.list.length === 0);
});

test("E1 a grant is of one entry of the file: another user of that name has none of it, also while no daemon looks", async (t) => {
  const store = storeInMemory();
  const door = await startDoor(t, { store });
  const auth = (users: readonly AuthUser[]) => ({
    incomingAuth: { type: "local", users, oauth: true } as const,
  });
  const again = await signedIn(door);
  const written = store.written;
  await door.reload(auth([RENEWED_ANN, BEN]));
  await eventually(() => store.written !== written);
  const next = await startDoor(t, { store, users: [RENEWED_ANN, BEN] });
  assert.equal(next.gateway.clients.grants.list.length, 1, "a new daemon knows her by the present token");
  const later = await startDoor(t, { store, users: [ANN, BEN] });
  await eventually(() => later.gateway.clients.grants.list.length === 0);
  await door.reload(auth([BEN]));
  await door.reload(auth([ANN, BEN]));
  const { status } = await post(door.url, again.access, MCP);
  assert.equal(status, 401, "removed and made again, it is another ann");
});
