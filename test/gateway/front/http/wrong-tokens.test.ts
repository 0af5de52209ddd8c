import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { WrongTokens } from "../../../../src/runtime/http/wrong-tokens.ts";
import { eventually } from "../../../support/eventually.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import { createScriptedGateway } from "../scripted-gateway.ts";
import { callMessage, startRig } from "./http-rig.ts";

describe("E4 wrong tokens", () => {
  it("are answered at once at first, then half a second later, and a minute later at once again", async () => {
    const clock = createManualClock();
    const tokens = new WrongTokens(clock);
    let answers = 0;
    const refuse = (remote = "10.0.0.1"): void =>
      tokens.refuse(remote, () => {
        answers += 1;
      });
    for (let count = 0; count < 10; count++) refuse();
    assert.equal(answers, 10);
    refuse();
    assert.equal(answers, 10);
    refuse("10.0.0.2");
    assert.equal(answers, 11, "another address is not slowed");
    await clock.advance(500);
    assert.equal(answers, 12);
    await clock.advance(60_000);
    refuse();
    assert.equal(answers, 13);
  });

  it("that wait are bounded: the others are answered at once", async () => {
    const clock = createManualClock();
    const tokens = new WrongTokens(clock);
    let answers = 0;
    for (let count = 0; count < 600; count++) {
      tokens.refuse("10.0.0.1", () => {
        answers += 1;
      });
    }
    assert.equal(answers, 600 - 256);
    assert.equal(clock.pendingTimers, 256);
    await clock.advance(500);
    assert.equal(answers, 600);
  });

  it("at /metrics are slowed like those at /mcp", async () => {
    const clock = createManualClock();
    const gateway = Object.assign(createScriptedGateway(), {
      metrics: () => ({ kind: "token_needed" }) as const,
    });
    await using rig = await startRig(gateway, { clock });
    const metrics = new URL("/metrics", rig.url);
    for (let count = 0; count < 10; count++) assert.equal((await fetch(metrics)).status, 401);
    let isAnswered = false;
    const late = fetch(metrics).then(({ status }) => {
      isAnswered = true;
      return status;
    });
    await eventually(() => gateway.turnedAwayRequests.length === 11);
    assert.equal(isAnswered, false);
    await clock.advance(500);
    assert.equal(await late, 401);
  });

  it("of one address never hold up the right one from there", async () => {
    const clock = createManualClock();
    const gateway = createScriptedGateway();
    await using rig = await startRig(gateway, { clock });
    const right = gateway.authenticate;
    gateway.authenticate = ({ authorization }) =>
      authorization === "Bearer right"
        ? right({})
        : { ok: false, reason: "the bearer token is not accepted" };
    const wrong = Array.from({ length: 300 }, () =>
      rig.post(callMessage(1, "x"), { authorization: "Bearer wrong" }),
    );
    await Promise.all(wrong.slice(0, 1));
    const answer = await rig.post(callMessage(1, "x"), { authorization: "Bearer right" });
    assert.equal(answer.status, 400, "it came in, and had no session");
    let open = true;
    const all = Promise.all(wrong).finally(() => {
      open = false;
    });
    while (open) {
      await clock.advance(500);
      await new Promise(setImmediate);
    }
    assert.deepEqual(new Set((await all).map(({ status }) => status)), new Set([401]));
  });
});
