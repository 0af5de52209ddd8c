// Shapes of requests and answers about calls that wait for the owner's answer.
import {
  choice,
  count,
  flag,
  list,
  nullable,
  object,
  strictObject,
  type TypeOf,
  text,
} from "../../runtime/shape.ts";

const questionShape = object({
  /** Never shown to a client. */
  code: text,
  opened: text,
  tool: text,
  server: text,
  /** In the words of the server. */
  description: nullable(text),
  destructive: flag,
  user: text,
  /** The name that the program gives itself. */
  program: text,
  /** The rule that asks. */
  rule: text,
  /** One line of JSON for each argument. */
  arguments: list(text),
  /** A secret in the arguments is hidden. */
  redacted: flag,
  /** The calls that wait now. */
  waiting: count,
});
export type QuestionReport = TypeOf<typeof questionShape>;
export const questionsReportShape = object({ questions: list(questionShape) });

export const answerRequest = strictObject({
  code: text,
  allow: flag,
  from: choice("terminal", "tui", "page"),
});
/** `run`: the call runs now; `stored`: the same call runs once within ten minutes; `denied`. */
export const answerReportShape = object({ effect: choice("run", "stored", "denied") });
