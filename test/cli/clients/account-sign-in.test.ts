// Servers at which each user signs in, with a real daemon and a real authorization server: each acts by the own
// account, and no one by another's.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { agree, GIVEN_CLIENT } from "../../gateway/backends/server-sign-in/authorization-server.ts";
import { connectLight } from "../../mcp/light-client.ts";
import { ask, textOf } from "../../mcp/modern-wire.ts";
import { ends } from "../../support/ends.ts";
import { eventually } from "../../support/eventually.ts";
import { startAccountHome } from "./account-home.ts";

/** Where this member is left out, answers do not say which issuer gave them. */
const SILENT = { drop: ["authorization_response_iss_parameter_supported"] };

test("E1 at a server with an account for each user, each signs in separately, and acts by the own account", async (t) => {
  await using b = await startAccountHome(t);
  await b.login([], "owner-there");
  await eventually(async () => (await b.run(["tools", "list"])).stdout.includes("whoami"));
  assert.match(await b.called(), /^owner-there/);
  const needed = await b.whose(b.tokens.ben);
  assert.match(needed, /wants a login[\s\S]*open http:\/\/127.0.0.1:\d+\/connect\/[\w-]+/);
  const refused = await b.run(["backends", "login", "far", "--as", "ben"]);
  assert.match(refused.stderr, /nothing was changed: --yes/);
  const unknown = await b.run(["backends", "login", "far", "--as", "eve", "--yes"]);
  assert.match(unknown.stderr, /there is no user eve/);
  assert.equal(await b.listed(b.tokens.ben), "whoami plan rare", "the owner's, until he has signed in");

  await b.login(["--as", "ben", "--yes"], "ben-there");
  await b.login(["--as", "ann", "--yes"], "ann-there");
  for (let round = 0; round < 20; round += 1) {
    const [ann, ben, owner] = await Promise.all([b.whose(b.tokens.ann), b.whose(b.tokens.ben), b.called()]);
    assert.deepEqual([ann, ben], ["ann-there", "ben-there"]);
    assert.match(owner, /^owner-there/);
    // Each renews the own.
    if (round === 6) b.issuer.endAccessTokens();
  }

  assert.deepEqual(
    [await b.listed(b.tokens.ann), await b.listed(b.tokens.ben)],
    ["whoami plan", "whoami rare"],
    "of the owner's tools those that are alike at the own account",
  );
  const access = (await b.run(["access", "ben"])).stdout;
  assert.match(access, /differs, or is missing, at the user's account: plan\n/);
  assert.match((await b.run(["tools", "list"])).stdout, /plan[\s\S]*rare/, "the owner's");

  await ends(b.run(["users", "renew", "ben"]), 0);
  assert.equal(await b.whose(b.tokens.ben), "ben-there");
  assert.equal(await b.whose(await b.token()), "ben-there");
  await ends(b.run(["users", "renew", "ben", "--overlap", "0"]), 0);
  const last = await b.token();
  assert.equal(await b.whose(last), "ben-there");

  const before = await readFile(b.file, "utf8");
  await ends(b.run(["secret", "set", "later"], "a-token-of-a-later-ben"), 0);
  await b.write(before.replace(/(name = "ben", token = )"[^"]*"/, '$1"secret:later"'));
  assert.match(await b.whose("a-token-of-a-later-ben"), /wants a login/, "another entry of that name");
  await b.write(before);
  await eventually(async () => (await b.whose(last)) === "ben-there");

  await ends(b.run(["backends", "logout", "far", "--as", "ann"]), 0, /signed out, and its server notified/);
  await eventually(async () => /wants a login/.test(await b.whose(b.tokens.ann)));
  assert.equal(await b.whose(last), "ben-there");

  const revoked = b.issuer.count("/token/revocation");
  await ends(b.run(["users", "remove", "ben"]), 0);
  assert.equal(b.issuer.count("/token/revocation"), revoked + 1);
  assert.deepEqual(await b.kept(), []);
  // By command, accounts end with those of their server, and at the issuer with a secret that the file then lacks.
  await ends(b.run(["secret", "set", "given"], GIVEN_CLIENT.secret), 0);
  const auth = `auth = { client_id = "${GIVEN_CLIENT.id}", client_secret = "secret:given" }`;
  const whole = (await readFile(b.file, "utf8")).replace('accounts = "each"', `$&\n${auth}`);
  for (const [at, command] of [
    "backends edit far --unset accounts --wait 0",
    "config set backends.far.accounts one",
    "config unset backends.far.accounts",
    "backends remove far",
  ].entries()) {
    await b.write(whole);
    await b.login(["--as", "ann", "--yes"], "ann-there");
    assert.equal((await b.kept()).length, 1);
    await ends(b.run(command.split(" ")), 0);
    assert.deepEqual(await b.kept(), [], command);
    assert.equal(b.issuer.count("/token/revocation"), revoked + 2 + at, command);
  }
});

test("E1 the next morning no one is asked again, and a user whose login the issuer has ended is asked once", async (t) => {
  // Three sign-ins, three renewals, and those of the owner and Ann: the rest is refused.
  const refuses = { after: 8, status: 400, raw: '{"error":"invalid_grant"}' };
  await using b = await startAccountHome(t, { "/token": refuses });
  await b.login([], "owner-there");
  await b.login(["--as", "ann", "--yes"], "ann-there");
  await b.login(["--as", "ben", "--yes"], "ben-there");
  await b.night();
  assert.deepEqual([await b.whose(b.tokens.ann), await b.whose(b.tokens.ben)], ["ann-there", "ben-there"]);
  assert.equal(b.issuer.count("/token"), 6, "each is renewed once");
  await b.night();
  assert.equal(await b.whose(b.tokens.ann), "ann-there");
  const address = await b.address(b.tokens.ben);
  for (let call = 0; call < 3; call += 1)
    assert.match(await b.whose(b.tokens.ben), /does not renew the login: it answers invalid_grant; sign in/);
  assert.equal(await b.address(b.tokens.ben), address);
  assert.equal(b.issuer.count("/token"), 9, "the issuer is asked once");
  assert.equal(await b.whose(b.tokens.ann), "ann-there");
  assert.match(await b.called(), /^owner-there/);
});

interface Page {
  readonly status: number;
  readonly text: string;
  /** Where the page goes on its own. */
  readonly next: string;
  /** The name under which the issuer's answer came, in a form. */
  readonly arrival: string;
}

/** A browser with its cookies, each for its path. */
function openBrowser() {
  const cookies = new Map<string, string>();
  return async (url: string, form?: Record<string, string>, origin = new URL(url).origin): Promise<Page> => {
    const sent = [...cookies].filter(([path]) => new URL(url).pathname.startsWith(path));
    const response = await fetch(url, {
      method: form === undefined ? "GET" : "POST",
      headers: {
        ...(form !== undefined && origin !== "" && { origin }),
        cookie: sent.map(([, pair]) => pair).join("; "),
      },
      ...(form !== undefined && { body: new URLSearchParams(form) }),
    });
    for (const cookie of response.headers.getSetCookie()) {
      assert.match(cookie, /; HttpOnly; SameSite=Strict$/);
      const [, pair = "", path = ""] = /^([^;]*); Path=([^;]*)/.exec(cookie) ?? [];
      cookies.set(path, pair);
    }
    const text = await response.text();
    const next = /content="0;url=([^"]*)"/.exec(text)?.[1]?.replaceAll("&amp;", "&") ?? "";
    return {
      status: response.status,
      text,
      next,
      arrival: /name="arrival" value="([^"]*)"/.exec(text)?.[1] ?? "",
    };
  };
}

test("E1 a call tells the user where to sign in: the page asks for the own token, and one browser goes from beginning to end", async (t) => {
  const path = "/.well-known/openid-configuration";
  await using b = await startAccountHome(t, {
    [path]: SILENT,
    "/.well-known/oauth-authorization-server": SILENT,
  });
  await b.login([], "owner-there");
  await eventually(async () => (await b.run(["tools", "list"])).stdout.includes("whoami"));
  const address = await b.address(b.tokens.ben);
  assert.equal(await b.address(b.tokens.ben), address, "the same until it has ended");
  const capabilities = { elicitation: { url: {} } };
  await using asking = await connectLight(b.url, { token: b.tokens.ben, capabilities });
  await asking.listen();
  const elicited = await asking.ask("tools/call", { name: "whoami", arguments: {} });
  assert.ok("error" in elicited && elicited.error.code === -32042);
  assert.equal(Object(elicited.error.data).elicitations[0].url, address);
  const headers = { authorization: `Bearer ${b.tokens.ben}` };
  const call = { name: "whoami", arguments: {} };
  const asked = await ask(b.url, "tools/call", call, { headers });
  const [[key = "", request] = []] = Object.entries(Object(asked.result?.["inputRequests"]));
  assert.equal(Object(request).params.url, address);

  const visit = openBrowser();
  const first = await visit(address);
  assert.ok(first.status === 200 && !/ben|far/.test(first.text), "it names no one");
  const toIssuer = await visit(address, { token: b.tokens.ben });
  assert.match(new URL(toIssuer.next).searchParams.get("redirect_uri") ?? "", /\/connect\/far\/callback$/);
  const callback = await agree(toIssuer.next, b.issuer.issuer, "ben-there", true);
  const exchanged = b.issuer.count("/token");
  const arrived = await visit(callback);
  const offered = await visit(arrived.next);
  assert.match(offered.text, /becomes the one of <b>ben<\/b> at the server <b>far<\/b>/);
  assert.equal(b.issuer.count("/token"), exchanged, "nothing is exchanged before Connect");
  assert.equal((await visit(address, { arrival: offered.arrival }, "")).status, 403, "without our Origin");
  const connected = await visit(address, { arrival: offered.arrival });
  assert.match(connected.text, /is now the one of <b>ben<\/b>/);
  const { elicitationId } = Object(elicited.error.data).elicitations[0];
  const isDone = ({ method }: { method?: unknown }) => method === "notifications/elicitation/complete";
  const notice = await eventually(async () => asking.notices.find(isDone));
  assert.deepEqual(notice?.["params"], { elicitationId }, "its client is notified");
  assert.equal((await visit(address, { arrival: offered.arrival })).status, 410, "once");
  assert.equal((await visit(callback)).status, 410, "a used state");

  const requestState = asked.result?.["requestState"];
  const inputResponses = { [key]: { action: "accept" } };
  const repeated = await ask(b.url, "tools/call", { ...call, requestState, inputResponses }, { headers });
  assert.equal(textOf(repeated), "ben-there", JSON.stringify(repeated));
  assert.equal(await b.whose(b.tokens.ben), "ben-there");
  assert.match(await b.whose(b.tokens.ann), /sign in with your own account/);
  assert.match(await b.called(), /^owner-there/);
});

test("E1 no one's account becomes another's: copied addresses, issuers' addresses, answers under other names, two tabs, a renewed token", async (t) => {
  await using b = await startAccountHome(t);
  await b.login([], "owner-there");
  await eventually(async () => (await b.run(["tools", "list"])).stdout.includes("whoami"));
  const [ann, ben] = [openBrowser(), openBrowser()];

  // Ben's address in Ann's hands takes only Ben's token, and few others.
  const copied = await b.address(b.tokens.ben);
  for (let wrong = 0; wrong < 5; wrong += 1)
    assert.equal((await ann(copied, { token: b.tokens.ann })).status, 401);
  assert.equal((await ben(copied, { token: b.tokens.ben })).status, 410);

  // Ann begins, and sends the issuer's address to Ben.
  const hers = await b.address(b.tokens.ann);
  const sent = await ann(hers, { token: b.tokens.ann });
  const his = await agree(sent.next, b.issuer.issuer, "ben-there", true);
  assert.equal((await ben(his.replace("/far/", "/other/"))).status, 410, "another server's redirect");
  const arrived = await ben(his);
  assert.equal((await ann(hers, { arrival: "a-guess" })).status, 403, "only the cookie");
  const refused = await ben(arrived.next);
  assert.equal(refused.status, 403, "no cookie");
  assert.match(refused.text, /begun in another browser/);
  const arrival = new URL(arrived.next).searchParams.get("arrival") ?? "";
  assert.equal(
    (await ann(hers, { arrival })).status,
    410,
    "it has ended, also where Ben is asked for his address",
  );

  // Two tabs: only the last one counts.
  const tabs = await b.address(b.tokens.ann);
  const [one, other] = [await ann(tabs, { token: b.tokens.ann }), await ann(tabs, { token: b.tokens.ann })];
  assert.equal((await ann(await agree(one.next, b.issuer.issuer, "ann-there", true))).status, 410);
  const page = await ann((await ann(await agree(other.next, b.issuer.issuer, "ann-there", true))).next);
  assert.equal((await ann(tabs, { arrival: page.arrival }, "http://evil.example")).status, 403);

  // A page that was left open ends with the token.
  await ends(b.run(["users", "renew", "ann", "--overlap", "0"]), 0);
  assert.equal((await ann(tabs, { arrival: page.arrival })).status, 410);
  assert.equal(b.issuer.count("/token authorization_code"), 1, "the owner's");
  assert.deepEqual(await b.kept(), []);

  // A user who is removed while the code is exchanged gets no account.
  const last = await b.address(b.tokens.ben);
  const left = await agree(
    (await ben(last, { token: b.tokens.ben })).next,
    b.issuer.issuer,
    "ben-there",
    true,
  );
  const { arrival: offered } = await ben((await ben(left)).next);
  const answers = b.issuer.holdTokenAnswers();
  const connecting = ben(last, { arrival: offered });
  await answers.requested;
  await ends(b.run(["users", "remove", "ben"]), 0);
  answers.release();
  assert.equal((await connecting).status, 410);
  assert.deepEqual(await b.kept(), []);
});
