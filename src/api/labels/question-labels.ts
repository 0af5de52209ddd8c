// Calls that wait for the owner's answer in words, the same in all user interfaces. Pure.
import type { TypeOf } from "../../runtime/shape.ts";
import { durationText } from "../../runtime/text/plain-text.ts";
import type { answerReportShape, QuestionReport } from "../contract/questions.ts";

export const ANSWER_EFFECTS: Readonly<Record<TypeOf<typeof answerReportShape>["effect"], string>> = {
  run: "allowed: the call runs, once",
  stored: "allowed: no call waits now, and the same call runs once within ten minutes",
  denied: "denied: the same call is refused for ten minutes",
};

/** As people type it: `7K4-9QX`. */
export function codeText({ code }: Pick<QuestionReport, "code">): string {
  return `${code.slice(0, 3)}-${code.slice(3)}`;
}

export function questionTitle({ tool, server }: Pick<QuestionReport, "tool" | "server">): string {
  return `${tool} of ${server}`;
}

/** What decides the answer: each argument whole, on a line. */
export function questionLines(question: QuestionReport, nowMs: number): readonly string[] {
  const { destructive, description, program, user, waiting, opened, rule, redacted } = question;
  const since = `${durationText(nowMs - Date.parse(opened))} ago`;
  return [
    ...(destructive ? ["It may change or delete things."] : []),
    ...(description === null ? [] : [`The server says: ${description}`]),
    `For ${user}, by a program that calls itself ${program}, ${since}${waiting === 0 ? "; no call waits now" : ""}.`,
    `Asked because of: ${rule}`,
    ...(redacted ? ["A secret in the arguments is shown as [redacted]."] : []),
    ...(question.arguments.length === 0 ? ["It has no arguments."] : question.arguments),
  ];
}
