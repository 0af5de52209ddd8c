// What is outstanding on a connection, and for how long.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RequestLedger } from "../../../src/relay/smb/request-ledger.ts";
import {
  ANSWER,
  ASYNC,
  answerTo,
  COMMAND,
  encrypted,
  frame,
  opening,
  PENDING,
  request,
} from "../smb-messages.ts";

function ledger() {
  const told: string[] = [];
  const time = { nowMs: 1_000 };
  const requests = new RequestLedger(() => time.nowMs, {
    requested: () => void told.push("asked"),
    answered: (_, waitedMs) => void told.push(`answered ${waitedMs}`),
  });
  return {
    requests,
    told,
    time,
    ask: (bytes: Buffer) => requests.fromClient.push(bytes, 0, false),
    answer: (bytes: Buffer) => requests.fromServer.push(bytes, 0, false),
  };
}

const interim = (command: number, messageId: number) =>
  frame({ command, messageId, flags: ANSWER | ASYNC, status: PENDING });

describe("the ledger of requests", () => {
  test("A10 a request is outstanding from its last byte until its answer", () => {
    const { requests, told, time, ask, answer } = ledger();
    const bytes = request(COMMAND.write, 4, Buffer.alloc(100));
    ask(bytes.subarray(0, 100));
    assert.equal(requests.outstanding, 0);
    assert.equal(requests.fromClient.atBoundary, false);
    time.nowMs = 1_500;
    ask(bytes.subarray(100));
    assert.equal(requests.outstanding, 1);
    assert.equal(requests.oldestMs, 1_500);
    time.nowMs = 1_540;
    answer(answerTo(COMMAND.write, 4));
    assert.equal(requests.outstanding, 0);
    assert.equal(requests.oldestMs, null);
    assert.deepEqual(told, ["asked", "answered 40"]);
  });

  test("A10 for a client with more requests than can be stored, nothing is known from then on", () => {
    const { requests, ask } = ledger();
    for (let id = 1; id <= 16_384; id++) ask(request(COMMAND.read, id));
    assert.deepEqual([requests.outstanding, requests.isOpaque], [16_384, false]);
    ask(request(COMMAND.read, 16_385));
    assert.deepEqual([requests.outstanding, requests.isOpaque], [0, true]);
  });

  test("A10 the oldest request counts, and each message of a compound has its own answer", () => {
    const { requests, time, ask, answer } = ledger();
    ask(frame({ command: COMMAND.create, messageId: 1 }, { command: COMMAND.read, messageId: 2 }));
    time.nowMs = 1_100;
    ask(request(COMMAND.read, 3));
    assert.equal(requests.outstanding, 3);
    answer(frame({ command: COMMAND.create, messageId: 1, flags: ANSWER }));
    assert.equal(requests.oldestMs, 1_000);
    answer(answerTo(COMMAND.read, 2));
    assert.equal(requests.oldestMs, 1_100);
  });

  test("A10 a pending reply is not an answer; a waiting lock and a notification are not counted, and a cancel has no answer", () => {
    const { requests, told, ask, answer } = ledger();
    ask(request(COMMAND.read, 1));
    answer(interim(COMMAND.read, 1));
    assert.equal(requests.outstanding, 1);
    answer(answerTo(COMMAND.read, 1));
    ask(request(COMMAND.lock, 2));
    assert.equal(requests.outstanding, 1);
    answer(interim(COMMAND.lock, 2));
    assert.equal(requests.outstanding, 0);
    ask(request(COMMAND.changeNotify, 3));
    answer(interim(COMMAND.changeNotify, 3));
    ask(request(COMMAND.cancel, 3));
    assert.equal(requests.outstanding, 0);
    assert.equal(told.filter((one) => one.startsWith("answered")).length, 4);
  });

  test("A14 only the last answer to a login shows whether the server accepts it", () => {
    const told: number[] = [];
    const requests = new RequestLedger(() => 0, {
      requested() {},
      answered() {},
      loginAnswered: (status) => void told.push(status),
    });
    const exchange = (command: number, ...answers: readonly Buffer[]): void => {
      requests.fromClient.push(request(command, 1), 0, false);
      for (const bytes of answers) requests.fromServer.push(bytes, 0, false);
    };
    const denied = 0xc0000022;
    exchange(COMMAND.create, answerTo(COMMAND.create, 1, undefined, denied));
    assert.deepEqual(told, []);
    const { sessionSetup } = COMMAND;
    exchange(sessionSetup, interim(sessionSetup, 1), answerTo(sessionSetup, 1, undefined, denied));
    assert.deepEqual(told, [denied]);
  });

  test("A10 an oplock that the server breaks is a sign of life, and answers no request", () => {
    const { requests, told, ask, answer } = ledger();
    ask(request(COMMAND.read, 1));
    answer(frame({ command: COMMAND.oplockBreak, messageId: Number.MAX_SAFE_INTEGER, flags: ANSWER }));
    assert.equal(requests.outstanding, 1);
    assert.deepEqual(told, ["asked", "answered 0"]);
  });

  test("A10 in an encrypted session only the fact of a request and of an answer is known", () => {
    const { requests, told, time, ask, answer } = ledger();
    ask(encrypted());
    assert.equal(requests.isOpaque, true);
    assert.equal(requests.oldestMs, 1_000);
    time.nowMs = 1_200;
    ask(encrypted());
    assert.equal(requests.oldestMs, 1_000);
    answer(encrypted());
    assert.equal(requests.outstanding, 0);
    assert.deepEqual(told, ["asked", "answered 200"]);
  });

  test("A10 files opened only for reading are distinguished from those that may be changed", () => {
    const fresh = (): ReturnType<typeof ledger> & {
      readonly open: (...how: Parameters<typeof opening>) => void;
    } => {
      const made = ledger();
      return {
        ...made,
        open(messageId, how) {
          made.ask(opening(messageId, how));
          made.answer(answerTo(COMMAND.create, messageId));
        },
      };
    };
    const wanted: readonly [what: string, how: Parameters<typeof opening>[1], reads: boolean][] = [
      ["read", {}, true],
      ["look at", { access: 0x80 }, true],
      ["write", { access: 0x4000_0000 }, false],
      ["append", { access: 0x4 }, false],
      ["change times", { access: 0x100 }, false],
      ["all that is allowed", { access: 0x0200_0000 }, false],
      ["delete", { access: 0x1_0000 }, false],
      ["delete by its close", { options: 0x1000 }, false],
      ["create", { disposition: 2 }, false],
      ["overwrite", { disposition: 5 }, false],
    ];
    for (const [what, how, reads] of wanted) {
      const { open, requests } = fresh();
      open(1, how);
      assert.equal(requests.onlyReads, reads, what);
    }
    const { open, ask, answer, requests } = fresh();
    open(1, { access: 0x4000_0000 });
    open(2);
    assert.equal(requests.onlyReads, false, "another is open to be written");
    ask(request(COMMAND.close, 3));
    open(4);
    assert.equal(requests.onlyReads, false, "its close has no answer yet");
    answer(answerTo(COMMAND.close, 3));
    for (const id of [5, 6]) {
      ask(request(COMMAND.close, id));
      answer(answerTo(COMMAND.close, id));
    }
    open(7);
    assert.equal(requests.onlyReads, true);
    for (const command of [COMMAND.read, COMMAND.queryInfo, COMMAND.queryDirectory, COMMAND.echo]) {
      ask(request(command, 10 + command));
      assert.equal(requests.onlyReads, true);
    }
    ask(request(COMMAND.setInfo, 8));
    assert.equal(requests.onlyReads, false);
  });

  test("A10 a close that was refused closes nothing", () => {
    const { ask, answer, requests } = ledger();
    const writing = { access: 0x4000_0000 };
    ask(opening(1, writing));
    answer(answerTo(COMMAND.create, 1));
    ask(frame({ command: COMMAND.create, messageId: 2 }, { command: COMMAND.close, messageId: 3 }));
    const refused = { flags: ANSWER, status: 0xc000_0022 };
    answer(
      frame(
        { command: COMMAND.create, messageId: 2, ...refused },
        { command: COMMAND.close, messageId: 3, ...refused },
      ),
    );
    ask(opening(4));
    assert.equal(requests.onlyReads, false, "the first is open to be written");
  });

  test("A10 a refused open is not open, and one that is cut short may be anything", () => {
    const { ask, answer, requests } = ledger();
    ask(opening(1, { access: 0x4000_0000 }));
    answer(frame({ command: COMMAND.create, messageId: 1, flags: ANSWER, status: 0xc000_0022 }));
    ask(opening(2));
    assert.equal(requests.onlyReads, true);
    ask(request(COMMAND.create, 3, Buffer.alloc(20)));
    assert.equal(requests.onlyReads, false);
  });

  test("A10 a client that logs off is known to leave", () => {
    const { requests, ask } = ledger();
    ask(request(COMMAND.logoff, 9));
    assert.equal(requests.isSignedOff, true);
  });
});
