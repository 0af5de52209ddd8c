// Shapes of requests and answers about calls that wait for the owner's answer.
import { choice, flag, list, object, strictObject, type TypeOf, text } from "../../runtime/shape.ts";

const questionShape = object({
  /** As people type it, `7K4-9QX`. Never shown to a client. */
  code: text,
  opened: text,
  tool: text,
  server: text,
  /** All that decides the answer; each argument whole. */
  lines: list(text),
});
export type QuestionReport = TypeOf<typeof questionShape>;
export const questionsReportShape = object({ questions: list(questionShape) });

export const answerRequest = strictObject({
  code: text,
  allow: flag,
  from: choice("terminal", "tui", "page"),
});
export const answerReportShape = object({
  effect: choice("run", "stored", "denied"),
  /** In words. */
  detail: text,
});
