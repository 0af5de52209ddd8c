// The commands about calls that wait for the owner's answer: `questions` and `answer`.
import type { QuestionReport } from "../../api/contract/questions.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { durationText, printable } from "../../runtime/text/plain-text.ts";
import { plainCode } from "../../runtime/text/typed-code.ts";
import { command } from "../input/command.ts";
import { isYes } from "../input/confirm.ts";
import { showResult, showText } from "../input/options.ts";
import { callDaemon } from "../sessions/control-session.ts";
import { RUNNING_BACKENDS } from "../sessions/gateway-session.ts";
import { FAILED_EXIT } from "../views/results-view.ts";

function questionLines({ tool, server, opened, lines }: QuestionReport, code: string): readonly string[] {
  const since = durationText(Date.now() - Date.parse(opened));
  return [`${tool} of ${server}, ${since} ago${code}`, ...lines.map((line) => `    ${line}`)].map(printable);
}

export const questionsCommand = command("questions", {
  summary: "list the calls that wait for your answer",
  description: "Each with all of its arguments. Only a terminal shows their codes.",
  examples: { "mountaineer questions": "see them" },
  exits: { 8: "no daemon runs" },
  async run(context) {
    const { questions } = await callDaemon(context, RUNNING_BACKENDS, "questions", null);
    // A program that runs commands for a model should not find a code.
    const hasCodes = context.prompt !== null && context.isTerminal;
    const shown = questions.map(({ code: _, ...question }) => question);
    showResult(context, { questions: shown }, () =>
      questions.flatMap((one) => questionLines(one, hasCodes ? `: ${one.code}` : "")),
    );
    if (questions.length === 0) context.notify("no call waits for your answer");
  },
});

export const answerCommand = command("answer", {
  summary: "allow or deny a call that waits for your answer",
  description: "Shows the call whole, and asks you.",
  examples: { "mountaineer answer 7K4-9QX": "by a code that questions shows" },
  exits: { 1: "it is denied, or no question has this code", 8: "no daemon runs" },
  takes: { "<code>": { about: "the question's code" } },
  async run(context, { code }) {
    const { prompt } = context;
    if (prompt === null) throw new MountaineerError("usage", "only a person at a terminal can answer");
    const { questions } = await callDaemon(context, RUNNING_BACKENDS, "questions", null);
    const question = questions.find((one) => plainCode(one.code) === plainCode(code));
    if (question === undefined)
      throw new MountaineerError("permission_denied", "no question has this code now", {
        hint: "mountaineer questions",
      });
    showText(context, () => questionLines(question, ""));
    // Long arguments may have moved the first line out of sight.
    const call = printable(`${question.tool} of ${question.server}`);
    const allow = await isYes(prompt, `Allow this call of ${call}, once?`, "no");
    const request = { code, allow, from: "terminal" } as const;
    const { detail } = await callDaemon(context, RUNNING_BACKENDS, "answer", request);
    showText(context, () => [detail]);
    return allow ? 0 : FAILED_EXIT;
  },
});
