import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { WrongTokens } from "../../../../src/gateway/front/http/wrong-tokens.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import { createScriptedGateway } from "../scripted-gateway.ts";
import { callMessage, startRig } from "./http-rig.ts";

describe("E4 wrong tokens", () => {
  it("are answered at once at first, then half a second later, and a minute later at once again", async () => {
    const clock = createManualClock();
    const tokens = new WrongTokens(clock);
    const answers: boolean[] = [];
    const refuse = (remote = "10.0.0.1"): void => tokens.refuse(remote, (isSlowed) => answers.push(isSlowed));
    for (let count = 0; count < 10; count++) refuse();
    assert.deepEqual(answers, Array(10).fill(false));
    refuse();
    refuse("10.0.0.2");
    assert.deepEqual(answers.slice(10), [false], "another address is not slowed");
    await clock.advance(500);
    assert.deepEqual(answers.slice(11), [true]);
    await clock.advance(60_000);
    refuse();
    assert.deepEqual(answers.slice(12), [false]);
  });

  it("that wait are bounded: the others are answered at once, and their connections end", async () => {
    const clock = createManualClock();
    const tokens = new WrongTokens(clock);
    let answers = 0;
    for (let count = 0; count < 300; count++) {
      tokens.refuse("10.0.0.1", () => {
        answers += 1;
      });
    }
    assert.equal(answers, 300 - 64);
    assert.equal(clock.pendingTimers, 64);
    await clock.advance(500);
    assert.equal(answers, 300);
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
