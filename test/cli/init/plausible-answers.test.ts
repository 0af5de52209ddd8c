// What people type without reading, at every question of `init`: nothing is ever configured that nobody meant.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isYes } from "../../../src/cli/input/confirm.ts";
import { pluck } from "../../support/pluck.ts";
import { CORE, inTurn, Net, ROGUE, SAME, talk } from "./nas-scene.ts";

const ANSWERS = ["y", "yes", "Y", "n", "no", "N", "1", "", " ", "q", "?", "10.0.2.2"] as const;

interface Question {
  readonly begins: RegExp;
  readonly right: string;
  /** The same result as of `right`; any other answer asks again, and so ends the same. */
  readonly others?: Readonly<Record<string, readonly string[]>>;
}

/** In the order in which they are asked, with the answers that mean something else than `right`. */
const QUESTIONS: readonly Question[] = [
  { begins: /^Which one\?/, right: "1", others: { "no share": ["n", "no", "N", "", " "] } },
  {
    begins: /^Your name/,
    right: "ann",
    others: { "the offered name": ["y", "yes", "Y", "", " "], "that name": ["1", "q", "?", "10.0.2.2"] },
  },
  { begins: /^Which to keep/, right: "1" },
  { begins: /^Is 10\.0\.[12]\.2/, right: "y", others: { "one address": ["n", "no", "N"] } },
  { begins: /^Keep this address/, right: "n" },
  { begins: /Only connect/, right: "y", others: { "every network": ["n", "no", "N"] } },
  {
    begins: /^An MCP server/,
    right: "files",
    others: { "no server": ["n", "no", "N", "", " "], "that name": ["1", "q"] },
  },
  { begins: /command line of/, right: "sh -c true", others: { "no server": ["n", "no", "N", "", " "] } },
];
const TYPED_ADDRESS = [/^No NAS was found/, /^Its address over a second cable/];

describe("F3 plausible answers", () => {
  for (const { begins, right, others = {} } of QUESTIONS) {
    test(`${begins.source} takes no answer for what it does not mean`, async () => {
      const expected = await played(begins, right);
      for (const answer of ANSWERS) {
        const result = await played(begins, answer);
        const isOther = Object.values(others).flat().includes(answer);
        if (!isOther) assert.deepEqual(result, expected, JSON.stringify(answer));
      }
      for (const [meaning, answers] of Object.entries(others))
        for (const answer of answers) assertMeans(meaning, answer, await played(begins, answer));
    });
  }

  test("where an address is asked for, yes and no are not its name", async () => {
    for (const begins of TYPED_ADDRESS) {
      for (const answer of ANSWERS.filter((one) => /^\s*(y|yes|n|no)?\s*$/i.test(one))) {
        const net = new Net();
        net.networks = ["subnet:10.0.1.0/24"];
        // As where the resolver finds an address for any name.
        net.greet = () => Promise.resolve(null);
        net.pair = () => Promise.resolve({ kind: "same", text: "" });
        const servers = begins.source.includes("second") ? [CORE] : [];
        const { choices } = await talk(net, servers, answering(begins, answer, { isTyped: true }));
        const hosts = choices.shares.flatMap(({ tbHost, fallbackHost }) => [tbHost, fallbackHost]);
        for (const host of hosts) assert.match(host ?? "10.", /^10\./, `${begins.source} ${answer}`);
      }
    }
  });

  test("a share that is typed is never called yes or no", async () => {
    for (const answer of ANSWERS.filter((one) => /^(y|yes)$/i.test(one))) {
      const net = new Net();
      net.shares = [];
      const { choices } = await talk(net, [CORE], inTurn("1", "ann", "right", answer, "photos", ""));
      assert.deepEqual(pluck(choices.shares, "name"), ["photos"]);
    }
  });

  test("a question of yes and no takes only yes, no and, where it offers one, Enter", async () => {
    for (const silence of ["yes", "no", null] as const) {
      for (const answer of ANSWERS) {
        const asked: string[] = [];
        const answers = inTurn(answer, "n");
        const isAgreed = await isYes(
          (question) => {
            asked.push(question);
            return Promise.resolve(answers());
          },
          "Go on?",
          silence,
        );
        const meaning = /^y/i.test(answer) ? "yes" : /^n/i.test(answer) ? "no" : null;
        const meant = meaning ?? (answer.trim() === "" ? silence : null);
        assert.equal(isAgreed, meant === "yes", `${silence}: ${answer}`);
        assert.equal(asked.length, meant === null ? 2 : 1, `${silence}: ${answer}`);
      }
    }
  });
});

/** The choices if the first question of this kind gets `answer`, and all others, or the same again, what is right. */
async function played(begins: RegExp, answer: string) {
  const net = new Net();
  net.networks = ["subnet:10.0.1.0/24"];
  net.others = [ROGUE.address];
  net.isOpen = true;
  const { choices } = await talk(net, [CORE, ROGUE, SAME], answering(begins, answer), {
    whatIsWrong: ({ backends }) =>
      Promise.resolve(backends.some(({ name }) => /[^a-z0-9]/.test(name)) ? "no such name" : null),
  });
  return choices;
}

function answering(begins: RegExp, answer: string, { isTyped = false } = {}): (question: string) => string {
  let isFirst = true;
  let servers = 0;
  return (question) => {
    if (begins.test(question) && isFirst) {
      isFirst = false;
      if (answer === "files") servers++;
      return answer;
    }
    if (isTyped && TYPED_ADDRESS.some((one) => one.test(question)))
      return /second cable/.test(question) ? "10.0.4.2" : "10.0.3.2";
    if (/^Password/.test(question)) return "right";
    if (/^It is unknown which is faster/.test(question)) return "y";
    // Only who wants no share is asked about servers.
    if (/^Which one/.test(question) && /MCP server|command line/.test(begins.source)) return "";
    if (/^An MCP server/.test(question)) return servers++ === 0 ? "files" : "";
    const { right } = QUESTIONS.find((one) => one.begins.test(question)) ?? assert.fail(question);
    return right;
  };
}

function assertMeans(
  meaning: string,
  answer: string,
  { shares, backends }: Awaited<ReturnType<typeof played>>,
) {
  const found: Readonly<Record<string, () => boolean>> = {
    "no share": () => shares.length === 0,
    "the offered name": () => shares[0]?.username === null,
    "that name": () => shares[0]?.username === answer || backends[0]?.name === answer,
    "one address": () => shares[0]?.fallbackHost === null,
    "every network": () => shares[0]?.onlyOn.length === 0,
    "no server": () => backends.length === 0,
  };
  assert.equal(found[meaning]?.(), true, `${JSON.stringify(answer)} means ${meaning}`);
}
