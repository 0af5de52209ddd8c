// Signing in to a real MCP server behind a real authorization server; and kill -9 between the request that rotates a
// refresh token and the write of what came back.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, stat } from "node:fs/promises";
import { type RequestOptions, request } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { type SignInPerson, signOut } from "../../../../src/gateway/backends/server-sign-in/login.ts";
import { MountaineerError } from "../../../../src/runtime/errors.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { eventually } from "../../../support/eventually.ts";
import { agree, GIVEN_CLIENT, GIVEN_PORT } from "./authorization-server.ts";
import {
  BACKEND,
  failureOf,
  headerOf,
  isGood,
  openSignIns,
  personAt,
  resolvedAuth,
  type SignInRig,
  startSignInRig,
} from "./sign-in-rig.ts";

const signal = new AbortController().signal;

test("E1 a person signs in with the browser: registered, with PKCE, for this server only, and stored sealed", async (t) => {
  const { home, authorization, server, grants, signIn } = await startSignInRig(t);
  const grant = await signIn();
  assert.equal(grant.issuer, authorization.issuer);
  assert.equal(grant.resource, server.url);
  assert.equal(grant.client.source, "registered");
  assert.deepEqual(grant.scopes, ["mcp:read", "offline_access"]);
  assert.deepEqual(await authorization.scopesOf(grant.accessToken, server.url), ["mcp:read"]);
  assert.ok(grant.refreshToken !== null);
  assert.deepEqual(await grants.read("tickets", signal), grant);
  assert.equal(authorization.count("/reg"), 1);
  // Nothing of it can be read in the home, and nobody else can read any of it.
  for (const name of await readdir(join(home, "sign-in"))) {
    const path = join(home, "sign-in", name);
    const text = await readFile(path, "latin1");
    for (const secret of [grant.accessToken, grant.refreshToken, grant.client.id]) {
      assert.ok(!text.includes(secret), name);
    }
    assert.equal((await stat(path)).mode & 0o077, 0, name);
  }
});

test("E1 a second sign-in uses the first one's registration, and its port", async (t) => {
  const { authorization, signIn } = await startSignInRig(t);
  const first = await signIn();
  const second = await signIn();
  assert.equal(authorization.count("/reg"), 1);
  assert.equal(second.client.id, first.client.id);
  assert.equal(second.redirectUri, first.redirectUri);
  assert.notEqual(second.accessToken, first.accessToken);
});

test("E1 a registration that no renewal has confirmed is not used again", async (t) => {
  // supabase/mcp#355, MoonshotAI/kimi-code#2606: the issuer has forgotten it, and each sign-in ends at an error page.
  const alters = { "/token": { drop: ["refresh_token"] } };
  const { authorization, signIn } = await startSignInRig(t, { alters });
  assert.notEqual((await signIn()).client.id, (await signIn()).client.id);
  assert.equal(authorization.count("/reg"), 2);
});

test("E1 a configured client id is used, and authenticates with its secret", async (t) => {
  const { authorization, server, signIn } = await startSignInRig(t, { registers: false });
  const auth = resolvedAuth({
    clientId: GIVEN_CLIENT.id,
    clientSecret: GIVEN_CLIENT.secret,
    redirectPort: GIVEN_PORT,
    scopes: ["mcp:read", "mcp:write"],
  });
  const grant = await signIn({ auth });
  assert.equal(grant.client.source, "configured");
  assert.equal(grant.client.secret, null);
  assert.deepEqual(await authorization.scopesOf(grant.accessToken, server.url), ["mcp:read", "mcp:write"]);
});

test("E1 without a browser the final address is pasted", async (t) => {
  const { authorization, server, signIn } = await startSignInRig(t);
  const addresses: string[] = [];
  const person: SignInPerson = {
    visit: (address) => void addresses.push(address),
    paste: () => agree(addresses[0] ?? "", authorization.issuer),
  };
  const grant = await signIn({ method: "paste" }, person);
  assert.ok((await authorization.scopesOf(grant.accessToken, server.url)) !== null);
});

test("E1 signing out notifies the server, so that the tokens become useless", async (t) => {
  const { authorization, server, grants, signIn } = await startSignInRig(t);
  const grant = await signIn();
  const out = await signOut(
    { backend: "tickets", url: new URL(server.url), auth: null },
    { grants, clock: systemClock, signal },
  );
  assert.deepEqual(out, { issuer: authorization.issuer, isRevoked: true });
  assert.equal(await grants.read("tickets", signal), null);
  assert.equal(await authorization.scopesOf(grant.accessToken, server.url), null);
});

test("E1 a person who refuses, and a server that is not the configured one, leave nothing stored", async (t) => {
  const { authorization, grants, signIn } = await startSignInRig(t);
  const person: SignInPerson = {
    ...personAt(authorization),
    visit(address) {
      const { searchParams } = new URL(address);
      const answer = new URL(searchParams.get("redirect_uri") ?? "");
      answer.searchParams.set("error", "access_denied");
      answer.searchParams.set("state", searchParams.get("state") ?? "");
      answer.searchParams.set("iss", authorization.issuer);
      void fetch(answer).then((response) => response.text());
    },
  };
  await assert.rejects(signIn({}, person), failure(/refused: access_denied/));
  const auth = resolvedAuth({ issuer: "https://login.example.com" });
  await assert.rejects(signIn({ auth }), failure(/not the configured one/));
  assert.equal(await grants.read("tickets", signal), null);
});

test("E1 an answer of another sign-in, or another issuer, is not accepted", async (t) => {
  const { authorization, signIn } = await startSignInRig(t);
  const statuses: unknown[] = [];
  const ask = (address: string, options: RequestOptions): Promise<unknown> =>
    new Promise((resolve) => request(address, options, (given) => resolve(given.resume().statusCode)).end());
  const person: SignInPerson = {
    ...personAt(authorization),
    visit(address) {
      const { searchParams } = new URL(address);
      const base = searchParams.get("redirect_uri") ?? "";
      void (async () => {
        const state = encodeURIComponent(searchParams.get("state") ?? "");
        for (const [asked, options] of [
          [`${base}?code=stolen&state=other`, {}],
          [`${new URL(base).origin}/other?code=stolen&state=${state}`, {}],
          [`${base}?code=stolen&state=${state}`, { method: "POST" }],
          [`${base}?code=stolen&state=${state}`, { headers: { host: "evil.example" } }],
        ] as const)
          statuses.push(await ask(asked, options));
        await (await fetch(`${base}?code=stolen&state=${state}&iss=https%3A%2F%2Fevil.example`)).text();
      })();
    },
  };
  await assert.rejects(signIn({}, person), failure(/unexpected "iss"/));
  assert.deepEqual(statuses, [400, 404, 405, 404]);
  assert.equal(authorization.count("/token"), 0);
});

function failure(pattern: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof MountaineerError, String(error));
    assert.equal(error.code, "sign_in_failed");
    assert.match(error.message, pattern);
    return true;
  };
}

const RENEWER = fileURLToPath(new URL("../programs/sign-in-renewer.ts", import.meta.url));

function startRenewer({ home, server }: SignInRig): ChildProcess {
  return spawn(process.execPath, [RENEWER, home, server.url], { stdio: ["pipe", "pipe", "inherit"] });
}

/** The server has rotated the token and the process that asked for it is gone before it could keep what came. */
async function crashInRotation(rig: SignInRig): Promise<void> {
  rig.authorization.endAccessTokens();
  const { requested, release } = rig.authorization.holdTokenAnswers();
  const child = startRenewer(rig);
  const ended = once(child, "exit");
  child.stdin?.end();
  await requested;
  const grant = await rig.grants.read(BACKEND, signal);
  assert.ok(grant !== null && grant.renewingSinceMs !== null, "the intent is on disk before the answer");
  child.kill("SIGKILL");
  await ended;
  release();
}

test("E1 a crash in a rotation, at a server with a grace period: the next process renews, and no one has to sign in", async (t) => {
  const rig = await startSignInRig(t, { hasGrace: true });
  await rig.signIn();
  await crashInRotation(rig);
  const { notice, carried, refused } = openSignIns(t, rig);
  assert.ok(await isGood(rig, headerOf(await refused(await carried()))));
  assert.equal(notice(), null);
  assert.equal((await rig.grants.read(BACKEND, signal))?.renewingSinceMs, null);
});

test("E1 a crash in a rotation, at a server without a grace period: one notice, and not one further request", async (t) => {
  const rig = await startSignInRig(t);
  await rig.signIn();
  await crashInRotation(rig);
  const { notice, carried, refused } = openSignIns(t, rig);
  const token = await carried();
  const asked = rig.authorization.count("/token");
  for (let call = 0; call < 50; call++) {
    assert.equal(failureOf(await refused(token)).kind, "unauthorized");
  }
  assert.equal(rig.authorization.count("/token"), asked + 1);
  assert.equal(notice()?.code, "login_needed");
  assert.match(notice()?.title ?? "", /an earlier renewal was interrupted/);
  assert.equal(notice()?.hint, "mountaineer backends login tickets");
  // Whoever comes after it reads it from the disk, and asks nobody.
  failureOf(await openSignIns(t, rig).refused(token));
  assert.equal(rig.authorization.count("/token"), asked + 1);
});

test("E1 a process that renews and another that wants to: one rotation, and both have the new token", async (t) => {
  const rig = await startSignInRig(t);
  await rig.signIn();
  const children = [startRenewer(rig), startRenewer(rig)];
  const texts = children.map(() => "");
  for (const [at, child] of children.entries()) {
    child.stdout?.setEncoding("utf8").on("data", (piece: string) => {
      texts[at] += piece;
    });
  }
  await eventually(() => texts.every((text) => text.includes("ready\n")));
  rig.authorization.endAccessTokens();
  for (const child of children) child.stdin?.end();
  await Promise.all(children.map((child) => once(child, "close")));
  const said = texts.map((text) => text.replace("ready\n", ""));
  assert.equal(new Set(said).size, 1, said.join());
  assert.match(said[0] ?? "", /"header":"Bearer /);
  assert.equal(rig.authorization.count("/token refresh_token"), 1);
});
