// Who may log in, and when: refused logons are few, whatever happens, and right ones wait for nobody.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decideLogin } from "../../../src/shares/logins/decide-login.ts";
import {
  createLogins,
  type LoginOf,
  type LoginResult,
  type Logins,
} from "../../../src/shares/logins/logins.ts";
import { createManualClock, type ManualClock } from "../../support/manual-clock.ts";
import { fc, runsOf } from "../../support/properties.ts";
import { routeTo } from "../share-spec.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const NEVER = new AbortController().signal;

function login(password: string, hosts: readonly [string, string] = ["10.0.1.2", "10.0.2.2"]): LoginOf {
  const [tb, fallback] = hosts;
  return { username: "ann", password, routes: { tb: routeTo(tb), fallback: routeTo(fallback) } };
}

/** A server that takes one password, and what came of a try. */
function tryAt(logons: Logins, share: LoginOf, right: string): Promise<LoginResult | "not tried"> {
  const answer: LoginResult = share.password === right ? "accepted" : { refused: "wrong password" };
  return logons.attempt<LoginResult | "not tried">(share, async () => answer, {
    judge: (result) => (result === "not tried" ? "unknown" : result),
    otherwise: () => "not tried",
    signal: NEVER,
  });
}

/** Tries that last until they are told to end. */
function counting(logons: Logins, share: LoginOf) {
  let begun = 0;
  return {
    tries: () => begun,
    attempt(result: LoginResult) {
      const gate = Promise.withResolvers<LoginResult>();
      const run = () => {
        begun += 1;
        return gate.promise;
      };
      const parts = { judge: (seen: LoginResult) => seen, otherwise: () => result, signal: NEVER };
      const ended = logons.attempt<LoginResult>(share, run, parts);
      return {
        end(): Promise<LoginResult> {
          gate.resolve(result);
          return ended;
        },
      };
    },
  };
}

const REFUSED = { refused: "wrong password" };

describe("logins", () => {
  test("A14 a refused login is tried again after an hour, and a person's request allows a try at once", async () => {
    const clock = createManualClock();
    const logons = createLogins(clock);
    const share = login("mistyped");
    assert.deepEqual(await tryAt(logons, share, "right"), REFUSED);
    assert.deepEqual(await tryAt(logons, share, "right"), "not tried");
    await clock.advance(HOUR_MS - 1);
    assert.deepEqual(await tryAt(logons, share, "right"), "not tried");
    assert.equal(logons.status(share).refusal, "wrong password");
    await clock.advance(1);
    assert.deepEqual(await tryAt(logons, share, "right"), REFUSED);
    await clock.advance(1);
    logons.requested(share);
    assert.deepEqual(await tryAt(logons, share, "right"), REFUSED);
    assert.deepEqual(await tryAt(logons, share, "right"), "not tried", "one try");
    await clock.advance(1);
    logons.requested(share);
    assert.equal(await tryAt(logons, share, "mistyped"), "accepted");
    assert.deepEqual(logons.status(share).refusal, null);
    assert.equal(await tryAt(logons, share, "mistyped"), "accepted");
    await clock.advance(1);
    assert.deepEqual(await tryAt(logons, share, "right"), REFUSED, "the account was changed on the server");
    assert.deepEqual(await tryAt(logons, share, "right"), "not tried");
  });

  test("A14 a server that was away is tried once, unless there were two refusals in the hour", async () => {
    const clock = createManualClock();
    const logons = createLogins(clock);
    const share = login("mistyped");
    assert.deepEqual(await tryAt(logons, share, "right"), REFUSED);
    for (const expected of [REFUSED, "not tried", "not tried"]) {
      await clock.advance(MINUTE_MS);
      logons.unreachable(share);
      await clock.advance(MINUTE_MS);
      assert.deepEqual(await tryAt(logons, share, "right"), expected);
    }
  });

  test("A14 another password is tried at once; both belong to the account, and accepted logins are not delayed", async () => {
    const clock = createManualClock();
    const logons = createLogins(clock);
    const good = login("right", ["10.0.1.2", "nas.local"]);
    assert.equal(await tryAt(logons, good, "right"), "accepted");
    assert.deepEqual(await tryAt(logons, login("mistyped"), "right"), REFUSED);
    assert.deepEqual(await tryAt(logons, login("again"), "right"), REFUSED);
    assert.equal(await tryAt(logons, login("third"), "right"), "not tried");
    assert.equal(await tryAt(logons, good, "right"), "accepted");
    assert.deepEqual(
      await tryAt(logons, login("third", ["10.9.9.9", "other"]), "right"),
      REFUSED,
      "another NAS",
    );
  });

  test("A14 while it is unverified one caller tries, and the others wait for the result", async () => {
    const clock = createManualClock();
    const logons = createLogins(clock);
    const answer = Promise.withResolvers<LoginResult>();
    let tries = 0;
    const attempt = (): Promise<LoginResult> =>
      logons.attempt<LoginResult>(
        login("mistyped"),
        () => {
          tries += 1;
          return answer.promise;
        },
        { judge: (result) => result, otherwise: () => "unknown", signal: NEVER },
      );
    const all = [attempt(), attempt(), attempt()];
    await clock.advance(1_000);
    assert.equal(tries, 1);
    answer.resolve(REFUSED);
    assert.deepEqual(await Promise.all(all), [REFUSED, "unknown", "unknown"]);
    assert.equal(tries, 1);
  });

  test("A14 an accepted login is unverified again after a minute", async () => {
    const clock = createManualClock();
    const logons = createLogins(clock);
    await tryAt(logons, login("right"), "right");
    const { promise, resolve } = Promise.withResolvers<LoginResult>();
    let tries = 0;
    const attempt = (): Promise<LoginResult> =>
      logons.attempt<LoginResult>(
        login("right"),
        () => {
          tries += 1;
          return promise;
        },
        { judge: (result) => result, otherwise: () => "unknown", signal: NEVER },
      );
    await clock.advance(MINUTE_MS);
    const all = [attempt(), attempt()];
    await clock.advance(1_000);
    assert.equal(tries, 1, "the second waits for what comes of the first");
    resolve("accepted");
    await Promise.all(all);
  });

  test("A14 a login that was refused since it was accepted is unverified at once", async () => {
    const clock = createManualClock();
    const logons = createLogins(clock);
    const share = login("right");
    assert.equal(await tryAt(logons, share, "right"), "accepted");
    await clock.advance(1_000);
    logons.refused(share, logons.idOf(share), "wrong password", clock.monotonicMs());
    await clock.advance(1_000);
    logons.requested(share);
    const { tries, attempt } = counting(logons, share);
    const all = [attempt("accepted"), attempt("accepted")];
    await clock.advance(1_000);
    assert.equal(tries(), 1);
    await Promise.all(all.map(({ end }) => end()));
  });

  test("A14 of two simultaneous tries, the end of the first does not end the wait for the second", async () => {
    const clock = createManualClock();
    const logons = createLogins(clock);
    const share = login("right");
    assert.equal(await tryAt(logons, share, "right"), "accepted");
    const { tries, attempt } = counting(logons, share);
    const [first, second] = [attempt("unknown"), attempt("unknown")];
    assert.equal(tries(), 2);
    await first.end();
    await clock.advance(MINUTE_MS);
    const third = attempt("unknown");
    await clock.advance(1_000);
    assert.equal(tries(), 2);
    await second.end();
    await third.end();
    assert.equal(tries(), 3);
  });

  test("A14 a refusal is remembered beyond the hour, whatever other login has since been refused", async () => {
    const clock = createManualClock();
    const logons = createLogins(clock);
    await tryAt(logons, login("mistyped"), "right");
    await clock.advance(2 * HOUR_MS);
    await tryAt(logons, login("wrong too"), "right");
    assert.equal(logons.status(login("mistyped")).refusal, "wrong password");
  });

  test("A14 a refusal before a restart counts once for all shares, and as of now if its time is in the future", async () => {
    const clock = createManualClock();
    const logons = createLogins(clock);
    const [one, other] = [login("right", ["NAS.local", "a"]), login("right", ["b", "nas.local"])];
    for (const share of [one, other]) logons.recall(share, [clock.wallMs() - 1_000]);
    assert.equal(logons.status(one).refusedAt.length, 1);
    await clock.advance(HOUR_MS);
    logons.recall(one, [clock.wallMs() + 5 * HOUR_MS]);
    assert.deepEqual(logons.status(other).refusedAt, [clock.wallMs()]);
    await clock.advance(HOUR_MS);
    assert.deepEqual(logons.status(one).refusedAt, []);
  });

  test("A14 a try that hangs delays the others for a while, and a cancelled one no longer", async () => {
    const clock = createManualClock();
    const logons = createLogins(clock);
    const never = new Promise<LoginResult>(() => {});
    const parts = { judge: (result: LoginResult) => result, otherwise: (): LoginResult => "unknown" };
    void logons.attempt(login("right"), () => never, { ...parts, signal: NEVER });
    const stop = new AbortController();
    const cancelled = logons.attempt(login("right"), () => never, { ...parts, signal: stop.signal });
    stop.abort(new Error("cancelled"));
    await assert.rejects(cancelled, /cancelled/);
    const late = tryAt(logons, login("right"), "right");
    await clock.advance(20_000);
    assert.equal(await late, "accepted");
  });

  test("A14 a refusal seen by several observers counts once, and names the login of the mount", async () => {
    const clock = createManualClock();
    const logons = createLogins(clock);
    const [old, now] = [login("old"), login("new")];
    assert.equal(await tryAt(logons, now, "new"), "accepted");
    await clock.advance(MINUTE_MS);
    const atMs = clock.monotonicMs();
    for (const jitterMs of [0, 1, -1])
      logons.refused(now, logons.idOf(old), "wrong password", atMs + jitterMs);
    assert.equal(logons.status(now).refusedAt.length, 1);
    assert.deepEqual([logons.status(now).accepted, logons.status(old).may], [true, false]);
    await clock.advance(HOUR_MS);
    const seenMs = clock.monotonicMs() - 5_000;
    for (const login of [null, logons.idOf(old)]) logons.refused(now, login, "wrong password", seenMs);
    assert.deepEqual(logons.status(now).refusedAt, [clock.wallMs() - 5_000]);
  });

  test("A14 the relay gets a new name for a login after each refusal", async () => {
    const logons = createLogins(createManualClock());
    const share = login("mistyped");
    const before = logons.nameOf(share);
    const good = logons.nameOf(login("right"));
    assert.equal(logons.nameOf(share), before);
    await tryAt(logons, share, "right");
    assert.notEqual(logons.nameOf(share), before);
    assert.equal(logons.nameOf(login("right")), good, "of the same account, and not refused");
  });

  test("A14 in a day of restarts, cut cables, edits and shares of one account, no hour sees more than two refused", async () => {
    const event = fc.constantFrom(
      "nothing",
      "nothing",
      "away",
      "restart",
      "clock set back",
      "right for a while",
    );
    await fc.assert(fc.asyncProperty(fc.array(event, { minLength: 144, maxLength: 144 }), playDay), {
      numRuns: runsOf(20),
    });
  });
});

/** An event each ten minutes, and three shares that try each minute by themselves. */
async function playDay(events: readonly string[]): Promise<void> {
  const clock: ManualClock = createManualClock();
  const shares = [login("mistyped"), login("mistyped"), login("wrong too")];
  let logons = createLogins(clock);
  const refusedAtMs: number[] = [];
  for (const event of events) {
    if (event === "away") for (const share of shares) logons.unreachable(share);
    if (event === "restart") {
      const kept = shares.map((share) => logons.status(share).refusedAt);
      logons = createLogins(clock);
      for (const [index, share] of shares.entries()) logons.recall(share, kept[index] ?? []);
    }
    if (event === "clock set back") clock.jumpWall(-24 * HOUR_MS);
    for (let minute = 0; minute < 10; minute++) {
      await clock.advance(MINUTE_MS);
      const right = event === "right for a while" && minute === 3 ? "mistyped" : "right";
      const results = await Promise.all(shares.map((share) => tryAt(logons, share, right)));
      for (const result of results) if (typeof result === "object") refusedAtMs.push(clock.monotonicMs());
    }
  }
  for (const [index, atMs] of refusedAtMs.entries()) {
    const third = refusedAtMs[index + 2];
    assert.ok(third === undefined || third - atMs >= HOUR_MS, `three within ${(third ?? 0) - atMs} ms`);
  }
  assert.ok(refusedAtMs.length > 0);
}

test("A14 refusals belong to one user of one server, not to another user or port, and revoke an earlier acceptance", async () => {
  const logons = createLogins(createManualClock());
  const share = login("right");
  await tryAt(logons, share, "right");
  assert.equal(logons.status(share).accepted, true);
  logons.refused(share, logons.idOf(share), "wrong password", 5_000);
  assert.deepEqual([logons.status(share).accepted, logons.status(share).refusedAt.length], [false, 1]);
  const port = { ...routeTo("10.0.1.2"), port: 4450 };
  for (const other of [
    { ...share, username: "bob" },
    { ...share, routes: { tb: port, fallback: routeTo(null) } },
  ])
    assert.deepEqual(logons.status(other).refusedAt, []);
});

test("A14 a person's request is for each login of an account: one that is refused then takes no other's turn", () => {
  const asked = { nowMs: 1_000, acceptedAtMs: null, requestedAtMs: 500, unreachableAtMs: null };
  const other = (atMs: number) => ({ atMs, login: "other", text: "refused" });
  const refusals = [other(400), other(600)];
  assert.equal(decideLogin({ ...asked, refusals, login: "own" }).may, true);
  assert.equal(decideLogin({ ...asked, refusals, login: "other" }).may, false);
  const later = [other(500 + 60_000), other(500 + 60_000)];
  assert.equal(decideLogin({ ...asked, nowMs: 70_000, refusals: later, login: "own" }).may, false);
});
