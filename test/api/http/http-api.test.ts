import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile, stat } from "node:fs/promises";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { HttpApiSettings } from "../../../src/api/http/http-api.ts";
import { errorFromBody } from "../../../src/api/operations/http-errors.ts";
import { OPERATIONS } from "../../../src/api/operations/table.ts";
import { LISTENER_LIMIT } from "../../../src/api/server/event-streams.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { passTimeUntilSettled } from "../../support/pass-time.ts";
import { sampleSyncState, scriptedConfig } from "../sample-config.ts";
import { scriptedGateway } from "../sample-gateway.ts";
import { answerOf, request, SHELL, startHttpApi, talk } from "./http-api-rig.ts";

const JSON_TYPE = "Content-Type: application/json";

function bearer(token: string): string {
  return `Authorization: Bearer ${token}`;
}

function withBody(body: string): string[] {
  return [JSON_TYPE, `Content-Length: ${Buffer.byteLength(body)}`];
}

/** What a page keeps of a sign-in. */
function sessionIn(body: string): string {
  return JSON.parse(body).session;
}

test("with the token every operation of the table is served as on the socket", async (t) => {
  const rig = await startHttpApi(t);
  const status = await rig.ask("/manage/v1/status");
  assert.equal(status.status, 200);
  assert.equal(OPERATIONS.status.output.faultIn(await status.json()), null);
  const text = await rig.ask("/manage/v1/config/history/1");
  assert.equal(text.headers.get("content-type"), "text/plain; charset=utf-8");
  assert.equal(await text.text(), "# before\n");
});

/** A daemon at these settings, and who is let in: `STATUS METHOD PATH… | HEADER: VALUE, … > IN THE ANSWER`, each path with each value. */
const ADMISSION: Readonly<Record<string, readonly [settings: Partial<HttpApiSettings>, rows: string]>> = {
  "E2 no request passes without the token, and a wrong token is treated as a missing one": [
    {},
    `
401 GET /manage/v1/status /manage/v1/config /manage/v1/events /manage/v1/no-such-thing > WWW-Authenticate: Bearer
401 GET /manage/v1/status | Authorization: Bearer WRONG, Bearer , Basic TOKEN > WWW-Authenticate: Bearer
401 GET /manage/v1/status | Cookie: mountaineer=x > "code":"not_signed_in"`,
  ],
  "a name that is not this daemon's is refused, whatever else the request contains (DNS rebinding)": [
    { host: "NAS.local", allowed: ["nas.example.com"] },
    `
403 GET / /manage/v1/status /page/v1/session | Authorization: Bearer TOKEN | Host: evil.example, evil.example:80, 127.0.0.1.evil.example, 10.0.0.1
403 GET / /manage/v1/status /page/v1/session | Authorization: Bearer TOKEN | Host: a b, [::1, 
200 GET /manage/v1/status | Authorization: Bearer TOKEN | Host: localhost, LOCALHOST:PORT, [::1]:9, 127.0.0.9
200 GET /manage/v1/status | Authorization: Bearer TOKEN | Host: nas.local, nas.example.com
400 GET / | Host: localhost | Host: localhost
400 GET / | Authorization: Bearer TOKEN | Authorization: Bearer TOKEN
400 GET / | Origin: http://127.0.0.1:PORT | Origin: http://127.0.0.1:PORT`,
  ],
  "a page of another origin is refused, even one on another port of this machine": [
    {},
    ["GET /manage/v1/status /manage/v1/events /page/v1/session", "OPTIONS /manage/v1/status"]
      .map(
        (asked) => `
403 ${asked} | Authorization: Bearer TOKEN | Origin: https://evil.example, http://127.0.0.1:1, http://localhost:PORT, null
403 ${asked} | Authorization: Bearer TOKEN | Origin: http://127.0.0.1:PORT@evil.example
403 ${asked} | Authorization: Bearer TOKEN | Sec-Fetch-Site: cross-site, same-site
200 GET /manage/v1/status | Authorization: Bearer TOKEN | Sec-Fetch-Site: same-origin | Origin: http://127.0.0.1:PORT
200 GET /manage/v1/status | Authorization: Bearer TOKEN | Host: LocalHost | Origin: http://localhost
200 GET /manage/v1/status | Authorization: Bearer TOKEN | Host: localhost | Origin: HTTP://LOCALHOST`,
      )
      .join(""),
  ],
  "ambiguous paths are refused": [
    {},
    `
400 GET /manage/v1/../v1/status /manage/v1/%73tatus /manage/v1/..%2fstatus /manage/v1//status | Authorization: Bearer TOKEN
400 GET /page/../../etc/passwd /page/%2e%2e/%2e%2e/etc/passwd /page/..\\..\\etc /page/main.js%00.svg | Authorization: Bearer TOKEN
404 GET /page/none.js`,
  ],
  "other methods are refused, with the allowed ones listed": [
    {},
    `
405 POST /manage/v1/status /manage/v1/events | Authorization: Bearer TOKEN | Content-Length: 0 > Allow: GET
405 GET /manage/v1/reload | Authorization: Bearer TOKEN | Content-Length: 0 > Allow: POST
405 DELETE /manage/v1/config/text | Authorization: Bearer TOKEN | Content-Length: 0 > Allow: PUT
405 POST / | Authorization: Bearer TOKEN | Content-Length: 0 > Allow: GET, HEAD`,
  ],
  "the shell is served to anyone on this machine, with a strict policy, and reveals nothing": [
    {},
    `
200 GET / > default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'
200 GET / > frame-ancestors 'none'; base-uri 'none'; form-action 'none'
200 GET / > X-Content-Type-Options: nosniff
200 GET / > Referrer-Policy: no-referrer`,
  ],
};

for (const [title, [settings, rows]] of Object.entries(ADMISSION))
  test(title, async (t) => {
    const rig = await startHttpApi(t, { settings });
    const wrong = `${rig.token.slice(0, -1)}${rig.token.endsWith("A") ? "B" : "A"}`;
    for (const row of rows.trim().split("\n")) {
      const [asks = "", answer = ""] = row.split(" > ");
      const [what = "", ...given] = asks.split(" | ");
      const [status, method, ...paths] = what.split(" ");
      const headers = given.map((header) => {
        const [, name, values = ""] = /^(\S+:)(.*)$/.exec(header) ?? assert.fail(header);
        return values.split(", ").map((value) => `${name} ${value.trim()}`);
      });
      const combinations = headers.reduce<string[][]>(
        (all, each) => all.flatMap((before) => each.map((header) => [...before, header])),
        [[]],
      );
      for (const path of paths)
        for (const sent of combinations) {
          const filled = sent.map((header) =>
            header.replace("TOKEN", rig.token).replace("WRONG", wrong).replace("PORT", String(rig.port)),
          );
          const came = await rig.raw(`${method} ${path}`, filled);
          assert.equal(String(came.status), status, `${path} ${filled}`);
          assert.ok(
            `${came.headers}\n${came.body}`.toLowerCase().includes(answer.toLowerCase()),
            came.headers,
          );
          assert.doesNotMatch(came.headers, /access-control/i);
        }
    }
  });

test("a request that names no host is refused, and a browser is not asked for a password", async (t) => {
  const rig = await startHttpApi(t);
  const nameless = `GET /manage/v1/status HTTP/1.0\r\n${bearer(rig.token)}\r\n\r\n`;
  assert.equal((await talk(rig.port, nameless)).status, 403);
  const { status, headers } = await rig.raw("GET /manage/v1/status", ["Sec-Fetch-Mode: cors"]);
  assert.equal(status, 401);
  assert.doesNotMatch(headers, /www-authenticate/i);
});

test("E2 a token that was replaced or forgotten opens nothing, and only its hash is in the home", async (t) => {
  const rig = await startHttpApi(t);
  const kept = await readFile(join(rig.home, "management.json"), "utf8");
  assert.ok(!kept.includes(rig.token.slice(4)));
  assert.equal((await stat(join(rig.home, "management.json"))).mode & 0o777, 0o600);
  const { token } = await rig.access.makeToken();
  assert.equal((await rig.raw("GET /manage/v1/status", [bearer(rig.token)])).status, 401);
  assert.equal((await rig.raw("GET /manage/v1/status", [bearer(token)])).status, 200);
  await rig.access.forgetToken();
  assert.equal((await rig.raw("GET /manage/v1/status", [bearer(token)])).status, 401);
});

test("E4 guesses are answered with a delay", async (t) => {
  const clock = createManualClock();
  const rig = await startHttpApi(t, { clock });
  for (let count = 0; count < 10; count++) assert.equal((await rig.raw("GET /manage/v1/status")).status, 401);
  let isAnswered = false;
  const late = rig.raw("GET /manage/v1/status", [bearer("guess")]).then(({ status }) => {
    isAnswered = true;
    return status;
  });
  assert.equal((await rig.raw("GET /manage/v1/status", [bearer(rig.token)])).status, 200);
  assert.equal(isAnswered, false);
  await eventually(async () => {
    await clock.advance(500);
    return isAnswered;
  });
  assert.equal(await late, 401);
});

test("a link signs one tab in, once, within its minute, and cookies are neither set nor read", async (t) => {
  const clock = createManualClock();
  const rig = await startHttpApi(t, { clock });
  const { secret } = await rig.access.makeLink();
  const body = JSON.stringify({ link: secret });
  const signIn = () => rig.raw("POST /page/v1/session", withBody(body), body);
  const first = await signIn();
  assert.equal(first.status, 200);
  assert.doesNotMatch(first.headers, /set-cookie/i);
  assert.equal((await signIn()).status, 401);
  const own = bearer(sessionIn(first.body));
  const session = await rig.raw("GET /page/v1/session", [own]);
  const { session: _, ...report } = JSON.parse(first.body);
  assert.deepEqual([session.status, JSON.parse(session.body)], [200, report]);
  assert.equal(report.may_run_commands, false);
  assert.equal((await rig.raw("GET /page/v1/session", [bearer(rig.token)])).status, 401, "no session");
  assert.equal((await rig.raw("GET /manage/v1/status", [own])).status, 200);
  for (const name of ["mountaineer", `mountaineer_${rig.port}`, `__Host-mountaineer_${rig.port}`]) {
    const cookie = `Cookie: ${name}=${sessionIn(first.body)}`;
    assert.equal((await rig.raw("GET /manage/v1/status", [cookie])).status, 401, name);
  }
  const late = await rig.access.makeLink();
  await clock.advance(60_000);
  const lateBody = JSON.stringify({ link: late.secret });
  assert.equal((await rig.raw("POST /page/v1/session", withBody(lateBody), lateBody)).status, 401);
  assert.equal((await rig.raw("GET /manage/v1/status", [own])).status, 200);
  assert.equal((await rig.raw("DELETE /page/v1/session", [own])).status, 204);
  assert.equal((await rig.raw("GET /manage/v1/status", [own])).status, 401);
});

test("a session ends after twelve hours, at the token's end, and when 64 newer ones exist", async (t) => {
  const clock = createManualClock();
  const rig = await startHttpApi(t, { clock });
  const { secret: code } = await rig.access.makeLink();
  const byLink = (await rig.access.redeem(code))?.secret ?? "";
  for (const end of ["makeToken", "forgetToken"] as const) {
    const { token } = await rig.access.makeToken();
    const byToken = (await rig.access.signIn(token))?.secret ?? "";
    assert.notEqual(rig.access.session(byToken), null);
    await rig.access[end]();
    assert.equal(rig.access.session(byToken), null, end);
    assert.notEqual(rig.access.session(byLink), null, end);
  }
  await clock.advance(12 * 60 * 60_000);
  assert.equal(rig.access.session(byLink), null);
  const { token } = await rig.access.makeToken();
  const secrets: string[] = [];
  for (let count = 0; count < 65; count++) secrets.push((await rig.access.signIn(token))?.secret ?? "");
  assert.equal(rig.access.session(secrets[0] ?? ""), null);
  assert.notEqual(rig.access.session(secrets[1] ?? ""), null);
});

test("B11 sessions and links are known to the next daemon", async (t) => {
  const rig = await startHttpApi(t);
  const used = await rig.access.makeLink();
  const session = (await rig.access.redeem(used.secret))?.secret ?? "";
  const making = rig.access.makeLink();
  await rig.opened?.[Symbol.asyncDispose]();
  assert.equal(JSON.parse(await readFile(join(rig.home, "management.json"), "utf8")).links.length, 1);
  const { secret: code } = await making;
  const away = await rig.raw("GET /manage/v1/status", [bearer(rig.token)]);
  assert.equal(away.status, 503);
  assert.match(away.headers, /retry-after: 1/i);
  const next = await startHttpApi(t, { home: rig.home });
  assert.notEqual(next.access.session(session), null);
  assert.notEqual(await next.access.redeem(code), null);
});

test("B11 a request on an old connection after a handover is redirected to the new listener", async (t) => {
  const rig = await startHttpApi(t);
  const next = await startHttpApi(t, { home: rig.home });
  rig.httpApi.handsOver();
  await rig.opened?.[Symbol.asyncDispose]();
  const body = JSON.stringify({ dry_run: true });
  const waiting = rig.raw("POST /manage/v1/reload", [bearer(rig.token), ...withBody(body)], body);
  rig.httpApi.hasMoved();
  const { status, headers } = await waiting;
  assert.equal(status, 307);
  assert.match(headers, /Location: \/manage\/v1\/reload\r\n/);
  assert.match(headers, /Connection: close/);
  assert.equal(
    (
      await next.ask("/manage/v1/reload", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body,
      })
    ).status,
    200,
  );
});

test("B11 a call that had begun when the daemon ends is reported neither as undone nor as repeatable", async (t) => {
  const gateway = scriptedGateway(async (_request, signal) => {
    await once(signal, "abort");
    throw signal.reason;
  });
  const rig = await startHttpApi(t, { control: gateway });
  const body = JSON.stringify({ tool: "read_file", arguments: {} });
  const calling = rig.raw("POST /manage/v1/call", [bearer(rig.token), ...withBody(body)], body);
  await eventually(() => gateway.calls.length === 1);
  rig.httpApi.handsOver();
  await rig.opened?.[Symbol.asyncDispose]();
  const cut = await calling;
  assert.equal(cut.status, 503);
  assert.doesNotMatch(cut.headers, /retry-after/i);
  const error = errorFromBody(JSON.parse(cut.body));
  assert.equal(error?.code, "daemon_unreachable");
  assert.match(error?.message ?? "", /ended before it was done; it is not known whether it took effect/);
});

test("B11 a read that is interrupted by the daemon's end is to be repeated", async (t) => {
  let looks = 0;
  const aliases = async (_request: unknown, signal: AbortSignal): Promise<never> => {
    looks += 1;
    await once(signal, "abort");
    throw signal.reason;
  };
  const rig = await startHttpApi(t, { control: { aliases } });
  const looking = rig.raw("GET /manage/v1/aliases", [bearer(rig.token)]);
  await eventually(() => looks === 1);
  await rig.opened?.[Symbol.asyncDispose]();
  const { status, headers, body } = await looking;
  assert.equal(status, 503);
  assert.match(headers, /retry-after: 1/i);
  assert.match(errorFromBody(JSON.parse(body))?.message ?? "", /nothing was done/);
});

test("B11 a request whose body is still arriving when the daemon ends is never begun", async (t) => {
  const config = scriptedConfig();
  const clock = createManualClock();
  const rig = await startHttpApi(t, { clock, config });
  const socket = connect(rig.port, "127.0.0.1");
  const answer = answerOf(socket);
  const head = [bearer(rig.token), JSON_TYPE, "Content-Length: 2"];
  socket.write(request(rig.port, "POST /manage/v1/reload", head, "{"));
  // Once another one is answered, the first has been read.
  assert.equal((await rig.ask("/manage/v1/status")).status, 200);
  const timers = clock.pendingTimers;
  await rig.opened?.[Symbol.asyncDispose]();
  assert.equal(clock.pendingTimers, timers - 1, "nobody looks at its speed any more");
  socket.write("}");
  const { status, headers } = await answer;
  assert.equal(status, 503);
  assert.match(headers, /retry-after: 1/i);
  assert.equal(config.calls.length, 0);
});

test("B11 a request without a next daemon is asked after 10 s to retry, and streams end at once", async (t) => {
  const clock = createManualClock();
  const config = scriptedConfig();
  const rig = await startHttpApi(t, { clock, config, opens: false });
  const asks = () => rig.raw("GET /manage/v1/status", [bearer(rig.token)]);
  assert.equal((await passTimeUntilSettled(clock, asks(), 1_000)).status, 503, "it serves nothing yet");
  const served = rig.open();
  const stream = rig.raw("GET /manage/v1/events", [bearer(rig.token)]);
  await eventually(() => config.listenerCount === 1);
  rig.httpApi.handsOver();
  await served[Symbol.asyncDispose]();
  assert.equal((await stream).status, 200);
  const beganMs = clock.monotonicMs();
  const { status, headers } = await passTimeUntilSettled(clock, asks(), 1_000);
  assert.equal(status, 503);
  assert.match(headers, /retry-after: 1/i);
  assert.ok(clock.monotonicMs() - beganMs >= 10_000);
});

test("an operation whose client leaves is cancelled", async (t) => {
  const gateway = scriptedGateway(async (_request, signal) => {
    await once(signal, "abort");
    throw signal.reason;
  });
  const rig = await startHttpApi(t, { control: gateway });
  const body = JSON.stringify({ tool: "read_file", arguments: {} });
  const socket = connect(rig.port, "127.0.0.1");
  socket.write(request(rig.port, "POST /manage/v1/call", [bearer(rig.token), ...withBody(body)], body));
  await eventually(() => gateway.calls.length === 1);
  socket.destroy();
  await rig.opened?.whenIdle();
});

test("a request that arrives before the daemon serves is kept until then", async (t) => {
  const rig = await startHttpApi(t, { opens: false });
  const answer = rig.raw("GET /manage/v1/status", [bearer(rig.token)]);
  const served = rig.open();
  assert.equal((await answer).status, 200);
  await served[Symbol.asyncDispose]();
});

test("a client that left before anything was served takes no listener's place", async (t) => {
  const rig = await startHttpApi(t, { opens: false });
  const gone: Promise<unknown>[] = [];
  const server = createServer((request, response) => {
    gone.push(once(response, "close"));
    rig.httpApi.take(request, response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const sockets = Array.from({ length: LISTENER_LIMIT }, () => connect(port, "127.0.0.1"));
  for (const socket of sockets)
    socket.write(request(port, "GET /manage/v1/events?flow", [bearer(rig.token)]));
  await eventually(() => gone.length === LISTENER_LIMIT);
  for (const socket of sockets) socket.destroy();
  await Promise.all(gone);
  const served = rig.open();
  const answer = await rig.ask("/manage/v1/events");
  assert.equal(answer.status, 200);
  await answer.body?.cancel();
  await served[Symbol.asyncDispose]();
});

test("with a session, only the page itself may send requests (CSRF)", async (t) => {
  const config = scriptedConfig();
  const rig = await startHttpApi(t, { config });
  const own = bearer((await rig.access.signIn(rig.token))?.secret ?? "");
  const reload = (...headers: string[]) =>
    rig.raw("POST /manage/v1/reload", [...headers, ...withBody("{}")], "{}");
  assert.equal((await reload()).status, 401);
  const foreign = ["Origin: https://evil.example", `Origin: http://127.0.0.1:${rig.port + 1}`];
  for (const header of [...foreign, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"]) {
    assert.equal((await reload(own, header)).status, 403, header);
    for (const line of ["POST", "GET", "DELETE"])
      assert.equal((await rig.raw(`${line} /page/v1/session`, [own, header])).status, 403, header);
  }
  assert.equal(config.calls.length, 0);
  assert.equal((await reload(own, `Origin: ${rig.origin}`)).status, 200);
});

/** A tab that is signed in, and what it asks for with the owner's right. */
async function openOwner(t: TestContext, options: Parameters<typeof startHttpApi>[1] = {}) {
  const rig = await startHttpApi(t, options);
  const own = bearer((await rig.access.signIn(rig.token))?.secret ?? "");
  const claim = async (...headers: string[]) => {
    const { status, body } = await rig.raw("POST /page/v1/owner", [own, ...headers]);
    const { right = "", code = "" } = JSON.parse(body);
    return { status, right: `X-Mountaineer-Owner: ${right}`, code: String(code) };
  };
  const body = JSON.stringify({ entries: [] });
  const approves = async (...headers: string[]): Promise<boolean> => {
    const { status } = await rig.raw("POST /manage/v1/config/approve", [...headers, ...withBody(body)], body);
    assert.ok(status === 200 || status === 403, String(status));
    return status === 200;
  };
  return { rig, own, claim, approves };
}

test("F4 E2 one tab may change what runs once its code was typed, for 15 minutes, and no other", async (t) => {
  const clock = createManualClock();
  const { rig, own, claim, approves } = await openOwner(t, { clock });
  const { right, code } = await claim();
  assert.match(code, /^[A-HJ-NP-Z2-9]{8}$/);
  assert.equal(await approves(own, right), false, "nobody has typed it yet");
  for (const wrong of ["", "AAAA-AAAA", right.slice(-43)])
    assert.throws(() => rig.httpApi.owners.grant(wrong), { code: "permission_denied" });
  const untilMs = rig.httpApi.owners.grant(`${code.slice(0, 4).toLowerCase()}-${code.slice(4)} `);
  assert.equal(untilMs, clock.wallMs() + 15 * 60_000);
  assert.throws(() => rig.httpApi.owners.grant(code), { code: "permission_denied" }, "a code is good once");
  assert.equal(await approves(own, right), true);
  const { body } = await rig.raw("GET /page/v1/session", [own, right]);
  assert.equal(JSON.parse(body).owner_until, new Date(untilMs).toISOString());
  const other = bearer((await rig.access.signIn(rig.token))?.secret ?? "");
  for (const headers of [[own], [other, right], [bearer(rig.token), right], [own, `${right}x`]])
    assert.equal(await approves(...headers), false, headers.join());
  assert.equal(await approves(own, right, "Host: evil.example"), false);
  await clock.advance(15 * 60_000);
  assert.equal(await approves(own, right), false, "it is over");
});

test("F4 E2 the right lasts while its tab changes something; reading does not extend it", async (t) => {
  const clock = createManualClock();
  const { rig, own, claim, approves } = await openOwner(t, { clock });
  const { right, code } = await claim();
  rig.httpApi.owners.grant(code);
  for (const _ of [1, 2, 3]) {
    await clock.advance(14 * 60_000);
    assert.equal(await approves(own, right), true);
  }
  await clock.advance(10 * 60_000);
  assert.equal((await rig.raw("GET /manage/v1/status", [own, right])).status, 200);
  assert.equal((await rig.raw("GET /page/v1/session", [own, right])).status, 200);
  await clock.advance(5 * 60_000);
  assert.equal(await approves(own, right), false);
});

test("F4 E2 the first tab of a home without anything has the right, if a person's terminal opened it; no other tab has", async (t) => {
  let isNew = true;
  const clock = createManualClock();
  const rig = await startHttpApi(t, { clock, isNewHome: async () => isNew });
  const redeem = async (link: string, ...headers: string[]) => {
    const body = JSON.stringify({ link });
    const answer = await rig.raw("POST /page/v1/session", [...withBody(body), ...headers], body);
    return JSON.parse(answer.body);
  };
  const link = async (isFirst: boolean): Promise<string> => {
    const { secret } = await rig.access.makeLink();
    if (isFirst) rig.httpApi.owners.offerFirst(secret);
    return secret;
  };
  const ofProgram = await redeem(await link(false));
  assert.deepEqual([ofProgram.right, ofProgram.may_run_commands], [undefined, false]);
  assert.equal((await redeem(await link(true))).right, undefined, "there is a session");
  await rig.access.signOut(ofProgram.session);
  await clock.advance(12 * 60 * 60_000);
  isNew = false;
  assert.equal((await redeem(await link(true))).right, undefined, "something was set up meanwhile");
  await clock.advance(12 * 60 * 60_000);
  isNew = true;
  assert.equal((await redeem(await link(true), "Via: 1.1 p")).right, undefined, "through a proxy");
  await clock.advance(12 * 60 * 60_000);
  const first = await redeem(await link(true));
  assert.deepEqual([typeof first.right, first.may_run_commands], ["string", true]);
  const { session, right } = first;
  const body = JSON.stringify({ entries: [] });
  const headers = [bearer(session), `X-Mountaineer-Owner: ${right}`, ...withBody(body)];
  assert.equal((await rig.raw("POST /manage/v1/config/approve", headers, body)).status, 200);
});

test("F4 E2 the right ends with a new code, a lock and a sign-out; an unused code expires", async (t) => {
  const clock = createManualClock();
  const { rig, own, claim, approves } = await openOwner(t, { clock });
  const first = await claim();
  rig.httpApi.owners.grant(first.code);
  const second = await claim();
  assert.equal(await approves(own, first.right), false);
  await clock.advance(3 * 60_000);
  assert.throws(() => rig.httpApi.owners.grant(second.code), { code: "permission_denied" });
  const third = await claim();
  rig.httpApi.owners.grant(third.code);
  assert.equal((await rig.raw("DELETE /page/v1/owner", [own])).status, 204);
  assert.equal(await approves(own, third.right), false);
  const last = await claim();
  rig.httpApi.owners.grant(last.code);
  assert.equal((await rig.raw("DELETE /page/v1/session", [own])).status, 204);
  const { status } = await rig.raw(
    "POST /manage/v1/config/approve",
    [own, last.right, ...withBody("{}")],
    "{}",
  );
  assert.equal(status, 401);
});

test("F4 E2 a tab with a terminal's code may change what runs; one with only its link, a late code or a guess may not", async (t) => {
  const clock = createManualClock();
  const { rig, own, approves } = await openOwner(t, { clock });
  const take = async (code: string, ...headers: string[]) => {
    const body = JSON.stringify({ code });
    const answer = await rig.raw("POST /page/v1/owner", [own, ...headers, ...withBody(body)], body);
    return { status: answer.status, right: `X-Mountaineer-Owner: ${JSON.parse(answer.body).right}` };
  };
  const { code } = rig.httpApi.owners.offer();
  assert.equal(await approves(own), false, "the session alone");
  assert.equal((await take(code, "Host: evil.example")).status, 403);
  assert.equal((await take(code, "Via: 1.1 p")).status, 403);
  const { status, right } = await take(`${code.slice(0, 4).toLowerCase()}-${code.slice(4)}`);
  assert.deepEqual([status, await approves(own, right)], [200, true]);
  assert.equal((await take(code)).status, 403, "a code is good once");
  assert.equal(await approves(own, right), true, "and a wrong one takes nothing back");
  await clock.advance(15 * 60_000);
  assert.equal(await approves(own, right), false, "it is over");
  const late = rig.httpApi.owners.offer().code;
  await clock.advance(3 * 60_000);
  assert.equal((await take(late)).status, 403, "too late");
  const old = rig.httpApi.owners.offer().code;
  const guessed = rig.httpApi.owners.offer().code;
  assert.equal((await take(old)).status, 403, "another terminal shows one now");
  for (const guess of ["", "A", "AAAAAAAA", "????"]) assert.equal((await take(guess)).status, 403, guess);
  assert.equal((await take(guessed)).status, 403, "void after five wrong ones");
  const { code: shown } = rig.httpApi.owners.offer();
  assert.throws(() => rig.httpApi.owners.grant(shown), { code: "permission_denied" }, "no page shows it");
});

test("F4 E2 only a page on this machine, requested by one of its names, gets the right", async (t) => {
  const { rig, own, claim, approves } = await openOwner(t, { settings: { allowed: ["nas.example.com"] } });
  assert.equal((await claim("Host: nas.example.com")).status, 403);
  const { right, code } = await claim();
  rig.httpApi.owners.grant(code);
  assert.equal(await approves(own, right, "Host: nas.example.com"), false);
  assert.equal(await approves(own, right, `Host: localhost:${rig.port}`), true);
  for (const header of [
    "Forwarded: for=1.2.3.4",
    "X-Forwarded-For: 1.2.3.4",
    "X-Real-IP: 1.2.3.4",
    "Via: 1.1 p",
  ])
    assert.equal(await approves(own, right, header), false, header);
  for (const [status, ...headers] of [
    [401],
    [401, bearer(rig.token)],
    [403, own, "Origin: http://127.0.0.1:1"],
  ] as const)
    assert.equal((await rig.raw("POST /page/v1/owner", headers)).status, status, headers.join());
  assert.equal((await rig.raw("GET /page/v1/owner", [own])).status, 405);
  assert.equal((await rig.raw("GET /manage/v1/status", [own, right, right])).status, 400, "said twice");
});

test("a body that is too large, of another kind, or too slow is refused, and its sender gets the reason", async (t) => {
  const clock = createManualClock();
  const rig = await startHttpApi(t, { clock });
  const head = [bearer(rig.token), JSON_TYPE];
  const large = "x".repeat(65 * 1024);
  const sent = await rig.raw("POST /manage/v1/reload", [...head, `Content-Length: ${large.length}`], large);
  assert.equal(sent.status, 413);
  const chunked = `${large.length.toString(16)}\r\n${large}\r\n0\r\n\r\n`;
  assert.equal(
    (await rig.raw("POST /manage/v1/reload", [...head, "Transfer-Encoding: chunked"], chunked)).status,
    413,
  );
  for (const type of [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "application/jsonx",
  ]) {
    const headers = [bearer(rig.token), `Content-Type: ${type}`, "Content-Length: 2"];
    assert.equal((await rig.raw("POST /manage/v1/reload", headers, "{}")).status, 415, type);
  }
  const plain = [...head, "Content-Encoding: identity", "Content-Length: 2"];
  assert.equal((await rig.raw("POST /manage/v1/reload", plain, "{}")).status, 200);
  const packed = [...head, "Content-Encoding: gzip", "Content-Length: 2"];
  assert.equal((await rig.raw("POST /manage/v1/reload", packed, "{}")).status, 415);
  for (const body of ["no JSON", "[]", "{}", '{"link":1}', '{"link":"a","token":"b"}', '{"token":"a","x":1}'])
    assert.equal((await rig.raw("POST /page/v1/session", withBody(body), body)).status, 400, body);
  assert.equal(
    (await rig.raw("POST /manage/v1/reload", [...head, "Content-Length: 2"], "\xff\xfe")).status,
    400,
  );
  const socket = connect(rig.port, "127.0.0.1");
  const slow = answerOf(socket);
  const begun = request(rig.port, "POST /manage/v1/reload", [...head, "Content-Length: 100"], "{");
  socket.write(begun.replace("Connection: close\r\n", ""));
  let isAnswered = false;
  void slow.then(() => {
    isAnswered = true;
  });
  await eventually(async () => {
    await clock.advance(5_000);
    return isAnswered;
  });
  const { status, headers } = await slow;
  assert.equal(status, 408);
  assert.match(headers, /^connection: close$/im, "the rest of the body is not read as the next request");
});

test("E2 links, codes and tokens are never managed over HTTP, and approving needs allow_commands", async (t) => {
  const config = scriptedConfig();
  const rig = await startHttpApi(t, { config });
  const more = await startHttpApi(t, { config, settings: { runsCommands: true } });
  for (const path of [
    "access/link",
    "access/owner",
    "access/owner/offer",
    "access/token",
    "access/token/forget",
  ]) {
    for (const one of [rig, more]) {
      const { status } = await one.ask(`/manage/v1/${path}`, { method: "POST" });
      assert.equal(status, 404, path);
    }
  }
  const approve = (one: typeof rig, body: object) =>
    one.ask("/manage/v1/config/approve", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
  const refused = await approve(rig, { entries: [] });
  assert.equal(refused.status, 403);
  const error = errorFromBody(await refused.json());
  assert.equal(error?.code, "commands_refused");
  assert.match(error?.hint ?? "", /allow_commands/);
  assert.equal((await approve(more, { entries: [] })).status, 200);
  const loosened = await approve(more, { entries: [], loosen: true });
  assert.equal(errorFromBody(await loosened.json())?.code, "owner_only");
});

test("an unchanged answer is not sent again", async (t) => {
  const rig = await startHttpApi(t);
  const first = await rig.ask("/manage/v1/config");
  const etag = first.headers.get("etag") ?? "";
  assert.match(etag, /^"[\w-]{27}"$/);
  const again = await rig.ask("/manage/v1/config", { headers: { "If-None-Match": `"x", W/${etag}` } });
  assert.equal(again.status, 304);
  assert.equal(await again.text(), "");
  assert.equal((await rig.ask("/manage/v1/config", { headers: { "If-None-Match": "*" } })).status, 304);
  assert.equal((await rig.ask("/manage/v1/config", { headers: { "If-None-Match": '"x"' } })).status, 200);
  const head = await rig.raw("HEAD /");
  assert.deepEqual([head.status, head.body], [200, ""]);
  assert.match(head.headers, /content-length: 15/i);
});

test("events arrive as they happen, and resume after the last one received", async (t) => {
  const config = scriptedConfig();
  const rig = await startHttpApi(t, { config });
  config.emit(sampleSyncState());
  config.emit({ kind: "gap" });
  const { body } = await rig.ask("/manage/v1/events", { headers: { "Last-Event-ID": "1" } });
  assert.ok(body);
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true });
    if (text.includes("id: 2") && !text.includes("id: 3")) config.emit({ kind: "gap" });
    if (text.includes("id: 3")) break;
  }
  assert.doesNotMatch(text, /id: 1\n/);
  await eventually(() => config.listenerCount === 0);
});

test("switched off, nothing is served; health and MCP are never taken", async (t) => {
  const rig = await startHttpApi(t, { settings: { isEnabled: false } });
  assert.equal((await rig.raw("GET /")).status, 404);
  assert.equal((await rig.raw("GET /manage/v1/status", [bearer(rig.token)])).status, 404);
  for (const path of [
    "/mcp",
    "/manage/v1/health",
    "/manage/v1/health/",
    "/metrics",
    "/.well-known/oauth-protected-resource",
  ]) {
    assert.equal((await rig.raw(`GET ${path}`)).body, "mcp", path);
  }
});

test("E2 an event stream ends with the right that admitted its reader, and sends nothing afterwards", async (t) => {
  const config = scriptedConfig();
  const rig = await startHttpApi(t, { config });
  const secret = (await rig.access.signIn(rig.token))?.secret ?? "";
  const listen = async (headers: Record<string, string>) => {
    const answer = await fetch(`${rig.origin}/manage/v1/events`, { headers });
    assert.equal(answer.status, 200);
    return answer.text();
  };
  const bySession = listen({ Authorization: `Bearer ${secret}` });
  const byToken = listen({ Authorization: `Bearer ${rig.token}` });
  await eventually(async () => config.listenerCount === 2);
  config.emit({ kind: "gap" });
  await rig.access.signOut(secret);
  config.emit({ kind: "gap" });
  const told = await bySession;
  assert.match(told, /id: 1\n/);
  assert.doesNotMatch(told, /id: 2\n/);
  await rig.access.forgetToken();
  config.emit({ kind: "gap" });
  const last = await byToken;
  assert.match(last, /id: 2\n/);
  assert.doesNotMatch(last, /id: 3\n/);
  assert.equal(config.listenerCount, 0);
});

test("E2 an event stream ends when management is switched off, or the name in its address is removed", async (t) => {
  const config = scriptedConfig();
  const rig = await startHttpApi(t, { config, settings: { allowed: ["nas.example.com"] } });
  const listen = (host: string) =>
    rig.raw("GET /manage/v1/events", [`Host: ${host}`, bearer(rig.token)]).then(({ body }) => body);
  const byName = listen("nas.example.com");
  const local = listen("localhost");
  await eventually(() => config.listenerCount === 2);
  config.emit({ kind: "gap" });
  rig.change({ allowed: [] });
  config.emit({ kind: "gap" });
  assert.doesNotMatch(await byName, /id: 2\n/);
  rig.change({ isEnabled: false });
  config.emit({ kind: "gap" });
  const told = await local;
  assert.match(told, /id: 2\n/);
  assert.doesNotMatch(told, /id: 3\n/);
  assert.equal(config.listenerCount, 0);
});

test("F2 the page's files are read when the API opens; a failed read is repeated for a browser", async (t) => {
  const asked: string[] = [];
  const find = async (path: string) => {
    asked.push(path);
    if (asked.length === 1) throw new Error("not yet");
    return SHELL;
  };
  const rig = await startHttpApi(t, { page: { find } });
  assert.deepEqual(asked, ["/"]);
  assert.equal((await rig.raw("GET /")).status, 200);
  assert.deepEqual(asked, ["/", "/"]);
});
