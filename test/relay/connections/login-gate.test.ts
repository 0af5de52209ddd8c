// Logging in through the carrier: one first, none after a refusal, and what is logged in goes on.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { LoginGate } from "../../../src/relay/connections/login-gate.ts";
import { RequestLedger } from "../../../src/relay/smb/request-ledger.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import type { FakeNas } from "../fake-nas.ts";
import { ANSWER, answerTo, COMMAND, frame, request } from "../smb-messages.ts";
import { type BenchClient, oneRoute, startShare } from "./share-bench.ts";

const REFUSED = 0xc000006d;
const MORE_PROCESSING = 0xc0000016;
const NO_LOGON_SERVERS = 0xc000005e;

/** Requests to log in that the server has got. */
function asked(nas: FakeNas): number {
  const logon = request(COMMAND.sessionSetup, 1);
  return nas.joined().filter(({ bytes }) => bytes.includes(logon)).length;
}

async function clientsOf(
  bench: { client(): Promise<BenchClient> },
  count: number,
): Promise<readonly BenchClient[]> {
  return Promise.all(Array.from({ length: count }, () => bench.client()));
}

function logIn(clients: readonly BenchClient[]): void {
  for (const client of clients) client.send(request(COMMAND.sessionSetup, 1));
}

function answered(clients: readonly BenchClient[]): number {
  return clients.filter(({ received }) => received.length > 0).length;
}

describe("logging in through the relay", () => {
  test("A14 of many that log in at once one does, and after its refusal no other: they are refused, and so are later ones", async (t) => {
    const clock = createManualClock();
    const { nas, bench } = await oneRoute(t, { logons: new LoginGate(clock) });
    const before = await bench.client();
    await before.ask(COMMAND.sessionSetup, 1);
    await before.ask(COMMAND.create, 2);
    // By then nobody knows any more that it is right.
    await clock.advance(1_000);
    nas.logon = REFUSED;
    const many = await clientsOf(bench, 8);
    logIn(many);
    await eventually(() => many.every(({ ending, received }) => ending === "reset" || received.length > 0));
    assert.equal(answered(many), 1, "the one that was refused hears why");
    assert.equal(asked(nas), 2);
    assert.equal(bench.share.state().refusedLogon?.text, "wrong user name or password");
    assert.ok(bench.notices.includes("phase"));
    const later = await bench.client();
    await eventually(() => later.ending === "reset");
    await before.ask(COMMAND.read, 3);
    assert.equal(before.ending, "open", "what is logged in goes on");
    assert.equal(asked(nas), 2);
  });

  test("A14 once the first login is accepted the others follow; a server that asks for more has not refused it", async (t) => {
    const { nas, bench } = await oneRoute(t, { logons: new LoginGate(createManualClock()) });
    nas.logon = MORE_PROCESSING;
    const clients = await clientsOf(bench, 5);
    logIn(clients);
    await eventually(() => answered(clients) === 1);
    const [first] = clients.filter(({ received }) => received.length > 0);
    assert.equal(asked(nas), 1);
    nas.logon = 0;
    first?.send(request(COMMAND.sessionSetup, 2));
    await eventually(() => answered(clients) === 5);
    assert.equal(bench.share.state().refusedLogon, null);
    // Who has waited is read on. The system takes so little at once, and nothing drains.
    await Promise.all(clients.map((client) => client.ask(COMMAND.create, 3)));
  });

  test("A14 a login that fails for another reason is not a refusal, and the next one is let through", async (t) => {
    const { nas, bench } = await oneRoute(t);
    nas.logon = NO_LOGON_SERVERS;
    const clients = await clientsOf(bench, 3);
    logIn(clients);
    await eventually(() => answered(clients) === 3);
    assert.equal(bench.share.state().refusedLogon, null);
  });

  test("A14 one that ends while it logs in, and one that has no answer, delay the others no longer than two seconds", async (t) => {
    const clock = createManualClock();
    const { nas, bench } = await oneRoute(t, { logons: new LoginGate(clock) });
    nas.logon = null;
    const clients = await clientsOf(bench, 3);
    const [first, second, third] = clients;
    first?.send(request(COMMAND.sessionSetup, 1));
    await eventually(() => asked(nas) === 1);
    second?.send(request(COMMAND.sessionSetup, 1));
    third?.send(request(COMMAND.sessionSetup, 1));
    first?.socket.destroy();
    await eventually(() => asked(nas) === 2);
    await clock.advance(2_000);
    await eventually(() => asked(nas) === 3);
    const fourth = await bench.client();
    fourth.send(request(COMMAND.sessionSetup, 1));
    await eventually(() => nas.joined().length === 4);
    // The server ends the one whose turn it is.
    nas
      .joined()
      .findLast(({ bytes }) => bytes.length > 0)
      ?.socket.end();
    await eventually(() => asked(nas) === 4);
  });

  test("A14 a vanished client gets no turn, and once a person confirms a refused login, a single client tries it", () => {
    const gate = new LoginGate(createManualClock());
    const turns: string[] = [];
    const one = (name: string) => ({ logIn: () => void turns.push(name) });
    const [first, second, third] = [one("first"), one("second"), one("third")];
    assert.deepEqual(
      [first, second, third].map((each) => gate.request(each)),
      [true, false, false],
    );
    gate.gone(second);
    gate.answered(first, NO_LOGON_SERVERS);
    assert.deepEqual(turns, ["third"]);
    gate.answered(third, 0);
    gate.answered(first, REFUSED);
    gate.reopen();
    assert.deepEqual([gate.request(first), gate.request(second)], [true, false]);
    gate.gone(first);
  });

  test("A17 a user whom the server admits as a guest is refused, wherever the answer is cut; an intended guest is not", async () => {
    const rows: readonly (readonly [flags: number, wantsUser: boolean, isRefused: boolean])[] = [
      [0, true, false],
      [1, true, true],
      [2, true, true],
      [4, true, false],
      [5, true, true],
      [1, false, false],
    ];
    for (const [flags, wantsUser, isRefused] of rows) {
      const answer = answerTo(COMMAND.sessionSetup, 1, Buffer.from([9, 0, flags, 0, 0, 0, 0, 0]));
      for (const cut of [0, 20, 67, 70, 71, answer.length]) {
        const gate = new LoginGate(createManualClock(), null, wantsUser);
        const one = { logIn: () => {} };
        const ledger = new RequestLedger(() => 0, {
          requested: () => {},
          answered: () => {},
          loginAnswered: (status, isGuest) => gate.answered(one, status, isGuest),
        });
        for (const piece of [answer.subarray(0, cut), answer.subarray(cut)])
          ledger.fromServer.push(piece, 0, false);
        assert.equal(gate.refused !== null, isRefused, `${flags} ${wantsUser}, cut at ${cut}`);
      }
    }
  });

  test("A14 each turn lasts its full two seconds, whenever the turn before it has ended", async () => {
    const clock = createManualClock();
    const gate = new LoginGate(clock);
    const turns: string[] = [];
    const [first, ...others] = ["first", "second", "third"].map((name) => ({
      logIn: () => void turns.push(name),
    }));
    assert.ok(first);
    for (const one of [first, ...others]) gate.request(one);
    await clock.advance(1_500);
    gate.gone(first);
    await clock.advance(1_999);
    assert.deepEqual(turns, ["second"]);
    await clock.advance(1);
    assert.deepEqual(turns, ["second", "third"]);
  });

  test("A14 a client that waited when a login was refused gets no turn once a person confirms it", () => {
    const gate = new LoginGate(createManualClock());
    const turns: string[] = [];
    const one = (name: string) => ({ logIn: () => void turns.push(name) });
    const [first, second, third] = [one("first"), one("second"), one("third")];
    assert.deepEqual([gate.request(first), gate.request(second)], [true, false]);
    gate.answered(first, REFUSED);
    gate.reopen();
    assert.equal(gate.request(third), true);
    gate.gone(third);
    assert.deepEqual(turns, []);
  });

  test("A14 shares with one login log in one after the other, and none after a refusal until a person confirms it", async (t) => {
    const { nas, bench } = await oneRoute(t);
    const logons = new LoginGate(createManualClock());
    const [one, other] = [await startShare(t, { nas, logons }), await startShare(t, { nas, logons })];
    const closed = await startShare(t, { nas, logons });
    await closed.share[Symbol.asyncDispose]();
    nas.logon = REFUSED;
    const [client, waiting] = [await one.client(), await other.client()];
    await eventually(() => nas.joined().length === 2);
    other.share.pause();
    const paused = await other.client();
    await eventually(() => other.share.state().connections === 2);
    logIn([client]);
    await eventually(() => answered([client]) === 1);
    await eventually(() => paused.ending === "reset");
    other.share.confirm(null);
    assert.deepEqual(closed.notices, [], "a share that is closed is told nothing");
    logIn([waiting]);
    await eventually(() => waiting.ending === "reset");
    assert.ok(other.share.state().refusedLogon !== null && bench.share.state().refusedLogon === null);
    nas.logon = 0;
    one.share.reopen();
    const again = await other.client();
    logIn([again]);
    await eventually(() => answered([again]) === 1);
  });

  test("A14 requests that a connection sends in pieces, and without a login, pass unchanged", async (t) => {
    const { nas, bench } = await oneRoute(t);
    const client = await bench.client();
    await client.sendInTwo(frame({ command: COMMAND.sessionSetup, messageId: 1 }));
    await eventually(() => client.received.length > 0);
    await client.sendInTwo(request(COMMAND.create, 2));
    await eventually(() => nas.joined()[0]?.bytes.length === 2 * request(COMMAND.create, 2).length);
    assert.ok((client.received[16 + 4] ?? 0) & ANSWER);
  });
});
