// One token for all callers: got once, renewed ahead, never asked for in a loop; against a real authorization server.
import assert from "node:assert/strict";
import { readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import {
  isCredential,
  type ResolvedAuth,
} from "../../../../src/gateway/backends/transports/transport-authorization.ts";
import { settlesWithin, systemClock } from "../../../../src/runtime/time/clock.ts";
import { eventually } from "../../../support/eventually.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import { runsOf } from "../../../support/properties.ts";
import { MACHINE_CLIENT } from "./authorization-server.ts";
import {
  BACKEND,
  failureOf,
  headerOf,
  isGood,
  openSignIns,
  resolvedAuth,
  startSignInRig,
} from "./sign-in-rig.ts";

const HOUR_MS = 3_600_000;
const DAYS = runsOf(12);

/** A person has signed in; the clock is moved by hand. */
async function signedIn(t: TestContext) {
  const rig = await startSignInRig(t);
  const clock = createManualClock(Date.now());
  const grant = await rig.signIn();
  return { rig, clock, grant, ...openSignIns(t, rig, { clock }) };
}

/** The gateway signs in as itself; its first request was refused with the server's challenge. */
async function asMachine(t: TestContext, given: Partial<ResolvedAuth>) {
  const rig = await startSignInRig(t);
  const clock = createManualClock(Date.now());
  const auth = resolvedAuth({ type: "client-credentials", ...given });
  const challenge = (await fetch(rig.server.url, { method: "POST" })).headers.get("www-authenticate");
  const opened = openSignIns(t, rig, { clock, auth });
  return { rig, clock, ...opened, refused: () => opened.refused({ header: null }, challenge) };
}

test("E1 fifty callers whose token is refused cause one renewal, and all continue with the new one", async (t) => {
  const { rig, carried, refused } = await signedIn(t);
  const first = await carried();
  rig.authorization.endAccessTokens();
  const outcomes = await Promise.all(Array.from({ length: 50 }, () => refused(first)));
  const headers = new Set(outcomes.map(headerOf));
  assert.equal(headers.size, 1);
  const [header = ""] = headers;
  assert.notEqual(header, first.header);
  assert.ok(await isGood(rig, header));
  assert.equal(rig.authorization.count("/token refresh_token"), 1);
  // Who comes late with the old one is given the new one, too.
  const late = await refused(first);
  assert.equal(headerOf(late), header);
  assert.equal(rig.authorization.count("/token refresh_token"), 1);
});

test("E1 two processes of one home make one renewal: the second finds the result of the first", async (t) => {
  const { rig, clock, ...one } = await signedIn(t);
  const other = openSignIns(t, rig, { clock });
  const token = await one.carried();
  await other.carried();
  rig.authorization.endAccessTokens();
  const first = await one.refused(token);
  const second = await other.refused(token);
  assert.equal(headerOf(second), headerOf(first));
  assert.equal(rig.authorization.count("/token refresh_token"), 1);
});

test(`E1 ${DAYS} days of hourly tokens, unattended: always a good one, each renewed once and ahead`, async (t) => {
  const clock = createManualClock(Date.now());
  const rig = await startSignInRig(t, {}, clock);
  await rig.signIn();
  const { authorization, notice, signIns } = openSignIns(t, rig, { clock });
  const other = signIns.authorize(BACKEND, { url: rig.server.url, headers: {} });
  let header = headerOf(await authorization.obtain());
  // The end of another link does not end the renewals.
  await other?.obtain();
  other?.[Symbol.dispose]();
  // 225 s before the end, and a second more.
  const lifeMs = HOUR_MS - 224_000;
  const renewals = Math.ceil((DAYS * 24 * HOUR_MS) / lifeMs);
  for (let renewal = 1; renewal <= renewals; renewal++) {
    const before = authorization.current?.header;
    await clock.advance(lifeMs);
    // Renewed by the clock alone, while the old one is still good.
    await eventually(() => authorization.current !== null && authorization.current.header !== before);
    header = authorization.current?.header ?? "";
    assert.notEqual(authorization.clean(before ?? ""), before, "a server may still repeat it");
    if (renewal % 24 === 0) assert.ok(await isGood(rig, header), `renewal ${renewal}`);
  }
  assert.ok(await isGood(rig, header));
  assert.equal(notice(), null);
  assert.equal(rig.authorization.count("/token refresh_token"), renewals);
  authorization[Symbol.dispose]();
  assert.equal(clock.pendingTimers, 0, "without a link nothing is renewed");
});

test("E1 a token that expired while nothing ran is renewed before it is sent", async (t) => {
  const clock = createManualClock(Date.now());
  const rig = await startSignInRig(t, {}, clock);
  await rig.signIn();
  await clock.advance(9 * HOUR_MS);
  assert.ok(await isGood(rig, headerOf(await openSignIns(t, rig, { clock }).carried())));
  assert.deepEqual([rig.authorization.count("/token refresh_token"), rig.server.refusals], [1, 1]);
});

test("E1 a token that is valid for longer than a timer can run is renewed near its end", async (t) => {
  const day = 24 * HOUR_MS;
  const clock = createManualClock(Date.now());
  const rig = await startSignInRig(t, { accessTokenSecs: (40 * day) / 1000 }, clock);
  await rig.signIn();
  const { carried } = openSignIns(t, rig, { clock });
  await carried();
  await clock.advance(39 * day);
  assert.equal(rig.authorization.count("/token"), 1);
  await clock.advance(day - 200_000);
  await eventually(() => rig.authorization.count("/token refresh_token") === 1);
});

test("E1 a grant that the server ended causes one notice and no further requests; a new sign-in restores it", async (t) => {
  const { rig, clock, grant, authorization, notice, log, carried, refused } = await signedIn(t);
  const token = await carried();
  // Somebody else used the refresh token, so that the server ends all that came of it.
  const { issuer } = rig.authorization;
  for (const _ of [1, 2]) {
    await fetch(`${issuer}/token`, {
      method: "POST",
      body: new URLSearchParams({
        grant_type: "refresh_token",
        refresh_token: grant.refreshToken ?? "",
        client_id: grant.client.id,
      }),
    }).then((response) => response.text());
  }
  rig.authorization.endAccessTokens();
  const asked = rig.authorization.count("/token");
  const outcome = failureOf(await refused(token));
  assert.equal(outcome.kind, "unauthorized");
  assert.match(outcome.message, /invalid_grant/);
  assert.equal(outcome.hint, "mountaineer backends login tickets");
  assert.equal(notice()?.code, "login_needed");
  for (let minute = 0; minute < 120; minute++) {
    await clock.advance(60_000);
    assert.ok(!isCredential(await authorization.obtain()));
  }
  assert.equal(rig.authorization.count("/token"), asked + 1);
  assert.equal(log.lines.filter(({ level }) => level === "warn").length, 1);
  await rig.signIn();
  await clock.advance(60_000);
  assert.ok(await isGood(rig, headerOf(await authorization.obtain())));
  assert.equal(notice(), null);
});

test("E1 an unreachable authorization server is retried with backoff and recovers automatically", async (t) => {
  const { rig, clock, authorization, notice, signIns, carried, refused } = await signedIn(t);
  const first = await carried();
  rig.authorization.setDown(true);
  for (const _ of [1, 2]) {
    assert.equal(failureOf(await refused(first)).kind, "unauthorized");
    assert.equal(notice()?.code, "token_not_renewed", "the old token is not to blame");
  }
  rig.authorization.setDown(false);
  // A new link does not wait for the next try.
  const link = signIns.authorize(BACKEND, { url: rig.server.url, headers: {} });
  assert.ok(link !== null && isCredential(await link.obtain()));
  assert.equal(notice(), null);
  rig.authorization.setDown(true);
  await clock.advance(HOUR_MS - 220_000);
  await eventually(() => notice()?.code === "token_not_renewed");
  rig.authorization.setDown(false);
  const renewals = rig.authorization.count("/token refresh_token");
  await clock.advance(60_000);
  await eventually(() => rig.authorization.count("/token refresh_token") > renewals);
  await eventually(() => notice() === null);
  rig.authorization.setDown(true);
  await clock.advance(2 * HOUR_MS);
  const asked = rig.authorization.count("/token");
  for (let call = 0; call < 50; call++) assert.ok(!isCredential(await authorization.obtain()));
  assert.ok(rig.authorization.count("/token") - asked <= 1);
  assert.equal(notice()?.code, "token_not_renewed");
  rig.authorization.setDown(false);
  await clock.advance(120_000);
  assert.ok(await isGood(rig, headerOf(await authorization.obtain())));
  assert.equal(notice(), null);
});

test("E1 a server that refuses each new token is not sent ever newer ones", async (t) => {
  const { rig, clock, notice, carried, refused } = await signedIn(t);
  let token = await carried();
  const refuse = async (): Promise<void> => {
    for (let call = 0; call < 20; call++) {
      const outcome = await refused(token);
      if (isCredential(outcome)) token = outcome;
    }
  };
  await refuse();
  assert.equal(rig.authorization.count("/token refresh_token"), 1);
  assert.equal(notice()?.code, "login_needed");
  assert.match(notice()?.title ?? "", /refuses the token that it was given/);
  // Once more after 10 s, then after twice as long each time.
  for (const [waitMs, renewed] of [
    [10_000, 2],
    [19_000, 2],
    [1_000, 3],
    [39_000, 3],
    [1_000, 4],
  ] as const) {
    await clock.advance(waitMs);
    await refuse();
    assert.equal(rig.authorization.count("/token refresh_token"), renewed, `after ${waitMs} ms more`);
  }
});

test("E1 tokens go to the address that was signed in to, and to no other", async (t) => {
  const { rig, signIns } = await signedIn(t);
  const elsewhere = `${rig.server.url}/other`;
  const authorization = signIns.authorize(BACKEND, { url: elsewhere, headers: {} });
  assert.deepEqual(await authorization?.obtain(), { header: null });
  // Nor to one beyond this machine without TLS, nor beside a header that was configured by hand.
  assert.equal(signIns.authorize(BACKEND, { url: "http://nas.example/mcp", headers: {} }), null);
  const named = rig.server.url.replace("http://", "http://me:mine@");
  assert.equal(signIns.authorize(BACKEND, { url: named, headers: {} }), null);
  const headers = { Authorization: "Bearer by-hand" };
  assert.equal(signIns.authorize(BACKEND, { url: rig.server.url, headers }), null);
});

test("E1 scopes requested beyond the login are one notice that names them, and a new login keeps the old ones", async (t) => {
  const { rig, authorization, notice, notices, signIns, carried, refused } = await signedIn(t);
  const token = await carried();
  const challenge = 'Bearer error="insufficient_scope", scope="mcp:write"';
  const outcome = failureOf(await refused(token, challenge, 403));
  assert.equal(outcome.kind, "refused");
  assert.equal(notice()?.code, "scopes_needed");
  assert.match(notice()?.title ?? "", /scopes mcp:write/);
  failureOf(await refused(token, challenge, 403));
  assert.deepEqual(notices, ["scopes_needed"]);
  // The same token for another link lacks them still.
  await signIns.authorize(BACKEND, { url: rig.server.url, headers: {} })?.obtain();
  assert.equal(notice()?.code, "scopes_needed");
  const grant = await rig.signIn();
  assert.deepEqual(grant.scopes, ["mcp:read", "offline_access", "mcp:write"]);
  // Another reason than scopes is not ours to judge.
  assert.equal(await authorization.refused({ status: 403, challenge: null, credential: token }), null);
  assert.equal(headerOf(await refused(token, challenge, 403)), `Bearer ${grant.accessToken}`);
  assert.equal(notice(), null);
});

test("E1 a login of another client, or one that can no longer be read, requires a new one", async (t) => {
  const { rig, clock, grant } = await signedIn(t);
  const client = { ...grant.client, source: "configured" } as const;
  const { signal } = new AbortController();
  await rig.grants.write(BACKEND, { ...grant, client }, signal);
  const one = openSignIns(t, rig, { clock, auth: resolvedAuth({ clientId: "another" }) });
  const token = await one.carried();
  assert.match(failureOf(await one.refused(token)).message, /belongs to another `client_id`/);
  assert.equal(one.notice()?.code, "login_needed");
  const folder = join(rig.home, "sign-in");
  const names = (await readdir(folder)).filter((name) => /^tickets-\w+\.json$/.test(name));
  assert.equal(names.length, 1);
  for (const name of names) await writeFile(join(folder, name), "{}");
  const other = openSignIns(t, rig, { clock });
  assert.match(failureOf(await other.refused(token)).message, /the stored login cannot be read/);
  assert.equal(other.notice()?.code, "login_needed");
});

test("E1 the gateway signs in as itself with client credentials, once for all, when the server asks for it", async (t) => {
  const { id: clientId, secret: clientSecret } = MACHINE_CLIENT;
  const given = { clientId, clientSecret, scopes: ["mcp:read"] };
  const { rig, clock, authorization, refused } = await asMachine(t, given);
  assert.deepEqual(await authorization.obtain(), { header: null });
  const outcomes = await Promise.all(Array.from({ length: 50 }, refused));
  const headers = new Set(outcomes.map(headerOf));
  assert.equal(headers.size, 1);
  const [header = ""] = headers;
  assert.ok(await isGood(rig, header));
  const token = header.replace("Bearer ", "");
  assert.deepEqual(await rig.authorization.scopesOf(token, rig.server.url), ["mcp:read"]);
  assert.equal(rig.authorization.count("/token client_credentials"), 1);
  assert.equal(await rig.grants.readChallenge(BACKEND, rig.server.url), null, "no person has to sign in");
  await clock.advance(HOUR_MS - 224_000);
  await eventually(() => rig.authorization.count("/token client_credentials") === 2);
});

test("E1 a stop waits for a renewal in progress, as half of one may lose the login, but not for ever", async (t) => {
  for (const situation of ["in use", "without a link", "of the configuration before", "held up"]) {
    const { rig, clock, grant: before, signIns, authorization, carried, refused } = await signedIn(t);
    const token = await carried();
    const { requested, release } = rig.authorization.holdTokenAnswers();
    rig.authorization.endAccessTokens();
    const renewing = refused(token);
    await requested;
    if (situation === "without a link") authorization[Symbol.dispose]();
    const { url } = rig.server;
    const auth = resolvedAuth({ clientName: "Another" });
    if (situation.startsWith("of")) signIns.authorize(BACKEND, { url, headers: {}, auth });
    let isStopped = false;
    const stopped = signIns[Symbol.asyncDispose]().then(() => {
      isStopped = true;
    });
    await clock.advance(2_999);
    assert.equal(isStopped, false, situation);
    if (situation === "held up") {
      await clock.advance(1);
      await stopped;
      assert.ok(await settlesWithin(systemClock, 10_000, renewing));
      assert.match(failureOf(await renewing).message, /the gateway is stopping/);
      release();
      continue;
    }
    release();
    await Promise.all([stopped, renewing]);
    const kept = await rig.grants.read(BACKEND, new AbortController().signal);
    assert.ok(kept !== null && kept.accessToken !== before.accessToken && kept.renewingSinceMs === null);
    assert.ok(await isGood(rig, `Bearer ${kept.accessToken}`));
  }
});

test("E1 a renewal that another process blocks is given up in time, and reported", async (t) => {
  const { rig, carried, refused } = await signedIn(t);
  const clock = createManualClock();
  const other = openSignIns(t, rig, { clock });
  const [token, theirs] = [await carried(), await other.carried()];
  const { requested, release } = rig.authorization.holdTokenAnswers();
  rig.authorization.endAccessTokens();
  const renewing = refused(token);
  await requested;
  const waiting = other.refused(theirs);
  await clock.advance(120_000);
  assert.match(failureOf(await waiting).message, /no token could be got in time/);
  release();
  await renewing;
});

test("E1 a renewal whose lock cannot be taken is reported and retried, and crashes nothing", async (t) => {
  const { rig, clock, signIns, notice, carried, refused } = await signedIn(t);
  const token = await carried();
  const folder = join(rig.home, "sign-in");
  const locks = (await readdir(folder)).filter((name) => name.endsWith(".lock.db"));
  assert.ok(locks.length > 0);
  // As a disk that lost its blocks leaves it.
  for (const name of locks) await writeFile(join(folder, name), Buffer.alloc(4_096, 7));
  rig.authorization.endAccessTokens();
  const failed = failureOf(await refused(token));
  assert.match(failed.message, /lock\.db cannot be locked/);
  assert.equal(notice()?.code, "token_not_renewed");
  for (const name of locks) await rm(join(folder, name));
  await signIns[Symbol.asyncDispose]();
  const next = openSignIns(t, rig, { clock });
  const mended = await next.refused(await next.carried());
  assert.ok(await isGood(rig, headerOf(mended)));
});

test("E1 invalid credentials of the gateway are reported, and crash nothing", async (t) => {
  const { notice, refused } = await asMachine(t, { clientId: "", clientSecret: "", scopes: [] });
  failureOf(await refused());
  assert.equal(notice()?.code, "token_not_renewed");
});
