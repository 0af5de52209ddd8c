// Random stories of modern clients whose calls ask back: nothing crosses from call to call, and nothing is answered twice.
import assert from "node:assert/strict";
import { test } from "node:test";
import { GATHER_MS, SUSPENDED_MS } from "../../../../src/gateway/frontend/suspended/suspended-call.ts";
import { isError, isJsonObject, type JsonObject, type Reply } from "../../../../src/gateway/json-rpc.ts";
import { settle } from "../../../support/manual-clock.ts";
import { fc, runsOf } from "../../../support/properties.ts";
import {
  ANN,
  accept,
  ask,
  BEN,
  createSuspendedRig,
  type Ran,
  retryParams,
  type Sent,
} from "./suspended-rig.ts";

const CALLS = 4;

const call = fc.nat(CALLS - 1);
const steps = fc.array(
  fc.oneof(
    fc.record({ do: fc.constantFrom("begin", "final", "close", "replay", "tamper", "other"), call }),
    { weight: 3, arbitrary: fc.record({ do: fc.constant("retry"), call }) },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant("ask"), call, questions: fc.integer({ min: 1, max: 3 }) }),
    },
    fc.record({ do: fc.constant("partly"), call, answered: fc.nat(2) }),
    fc.record({ do: fc.constant("withdraw"), call, question: fc.nat(9) }),
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant("wait"),
        ms: fc.constantFrom(1, GATHER_MS, GATHER_MS, GATHER_MS, SUSPENDED_MS / 2),
      }),
    },
  ),
  { minLength: 5, maxLength: 60 },
);

interface Asked {
  readonly nonce: string;
  readonly got: (Reply | null)[];
  withdraw(): void;
}

/** One call after the other of one client, each with a text that is nobody else's. */
class Player {
  readonly #rig: ReturnType<typeof createSuspendedRig>;
  readonly #seat: number;
  #calls = 0;
  /** Of the call that runs. */
  mark = "";
  ran: Ran | null = null;
  asked: Asked[] = [];
  /** Every request of the client for this call; what they were answered is looked at in the end. */
  sent: Sent[] = [];
  /** Rounds that were answered, oldest first. */
  readonly spent: string[] = [];
  /** What is required of it now. */
  required: { readonly state: string; readonly requests: JsonObject } | null = null;

  constructor(rig: ReturnType<typeof createSuspendedRig>, seat: number) {
    this.#rig = rig;
    this.#seat = seat;
  }

  get #principal() {
    return this.#seat % 2 === 0 ? ANN : BEN;
  }

  get #params(): JsonObject {
    return { name: "t", arguments: { mark: this.mark } };
  }

  async begin(): Promise<void> {
    this.check();
    this.mark = `${this.#seat}.${++this.#calls}`;
    const { sent, call: began } = await this.#rig.begin({ principal: this.#principal, params: this.#params });
    this.ran = began;
    this.asked = [];
    this.sent = [sent];
    this.required = null;
  }

  ask(count: number): void {
    if (this.ran === null) return;
    for (let one = 0; one < count; one++) {
      const nonce = `${this.mark}/${this.asked.length}`;
      const { got, withdraw } = ask(this.ran, { mode: "form", message: nonce });
      this.asked.push({ nonce, got, withdraw });
    }
  }

  /** With the right answers to the first so many of what is required. */
  retry(answered = Number.POSITIVE_INFINITY): void {
    this.look();
    if (this.required === null) return;
    const { state, requests } = this.required;
    const answers = Object.entries(requests)
      .slice(0, answered)
      .map(([key, request]) => [key, answerTo(request)]);
    this.required = null;
    this.spent.push(state);
    this.sent.push(this.#send(state, Object.fromEntries(answers)));
  }

  /** Whatever these say must change nothing. */
  disturb(how: "replay" | "tamper" | "other"): void {
    this.look();
    const wrong = {
      q1: accept({ nonce: "crossed" }),
      q2: accept({ nonce: "crossed" }),
      q3: accept({ nonce: "crossed" }),
    };
    const { state } = this.required ?? {};
    const refused: Sent[] = [];
    if (how === "replay") for (const old of this.spent) refused.push(this.#send(old, wrong));
    else if (state !== undefined && how === "tamper")
      refused.push(this.#send(`${state.slice(0, -1)}~`, wrong));
    else if (state !== undefined) {
      const params = retryParams(state, wrong, this.#params);
      refused.push(this.#rig.send({ params, principal: this.#principal === ANN ? BEN : ANN }));
      refused.push(this.#rig.send({ params: { ...params, arguments: {} }, principal: this.#principal }));
    }
    for (const { answers } of refused) {
      const [reply] = answers;
      assert.ok(answers.length === 1 && reply !== undefined && isError(reply) && reply.error.code === -32602);
    }
  }

  /** Takes up what its newest request was answered. */
  look(): void {
    const newest = this.sent.at(-1)?.answers[0];
    if (newest === undefined || isError(newest) || newest.result["resultType"] !== "input_required") return;
    const { requestState, inputRequests } = newest.result;
    assert.ok(typeof requestState === "string" && isJsonObject(inputRequests));
    if (!this.spent.includes(requestState)) this.required = { state: requestState, requests: inputRequests };
    for (const request of Object.values(inputRequests))
      assert.ok(messageOf(request).startsWith(`${this.mark}/`), "asked what another call asks");
  }

  check(): void {
    for (const { nonce, got } of this.asked) {
      assert.ok(got.length <= 1, "answered twice");
      const [reply] = got;
      if (reply === undefined || reply === null || isError(reply)) continue;
      assert.deepEqual(reply.result, accept({ nonce }), "another's answer");
    }
    for (const { answers } of this.sent) {
      assert.ok(answers.length <= 1, "a request was answered twice");
      const [reply] = answers;
      if (reply === undefined || isError(reply) || reply.result["resultType"] === "input_required") continue;
      assert.equal(reply.result["text"], this.mark, "another's result");
    }
    const finals = this.sent.filter(({ answers: [reply] }) => reply !== undefined && isFinal(reply));
    assert.ok(finals.length <= 1, "a result twice");
  }

  #send(state: string, answers: JsonObject): Sent {
    return this.#rig.send({ params: retryParams(state, answers, this.#params), principal: this.#principal });
  }
}

function markOf(params: JsonObject | undefined): string {
  const given = params?.["arguments"];
  return isJsonObject(given) ? String(given["mark"]) : "";
}

function isFinal(reply: Reply): boolean {
  return !isError(reply) && reply.result["resultType"] !== "input_required";
}

function messageOf(request: unknown): string {
  const params = isJsonObject(request) ? request["params"] : null;
  return isJsonObject(params) ? String(params["message"]) : "";
}

function answerTo(request: unknown): JsonObject {
  return accept({ nonce: messageOf(request) });
}

test("D2 in random stories no answer and no result goes to the wrong call, and nothing is answered twice", async () => {
  let retries = 0;
  let answered = 0;
  const story = async (given: typeof steps extends fc.Arbitrary<infer T> ? T : never): Promise<void> => {
    const rig = createSuspendedRig();
    const players = Array.from({ length: CALLS }, (_, seat) => new Player(rig, seat));
    for (const player of players) await player.begin();
    for (const step of given) {
      const player = players["call" in step ? step.call : 0];
      assert.ok(player !== undefined);
      if (step.do === "begin") await player.begin();
      else if (step.do === "ask") player.ask(step.questions);
      else if (step.do === "retry") {
        // As soon as it is told.
        await rig.clock.advance(GATHER_MS);
        player.retry();
      } else if (step.do === "partly") player.retry(step.answered);
      else if (step.do === "withdraw") player.asked[step.question]?.withdraw();
      else if (step.do === "final") player.ran?.reply({ result: { text: player.mark } });
      else if (step.do === "close") player.sent.at(-1)?.close();
      else if (step.do === "wait") await rig.clock.advance(step.ms);
      else player.disturb(step.do);
      await settle();
      for (const one of players) one.check();
    }
    for (const { request, reply } of rig.ran) reply({ result: { text: markOf(request.params) } });
    await rig.clock.advance(2 * SUSPENDED_MS);
    for (const player of players) {
      player.check();
      retries += player.spent.length;
      answered += player.asked.filter(({ got: [reply] }) => reply != null && !isError(reply)).length;
      // Nothing waits for ever: who asked has an answer, or an error.
      for (const { got } of player.asked) assert.equal(got.length, 1);
    }
    assert.equal(rig.suspended.size, 0);
    await rig.suspended.none();
  };
  await fc.assert(fc.asyncProperty(steps, story), { numRuns: runsOf(600) });
  assert.ok(retries > 100 && answered > 100, `${retries} retries and ${answered} answers are no stories`);
});
