// `clients approve`: shows a program's request for access, and asks a person.
import type { InputOf } from "../../api/operations/operations.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { printable } from "../../runtime/text/plain-text.ts";
import type { CommandContext } from "../input/command.ts";
import { isYes } from "../input/confirm.ts";
import { doneLine, showText } from "../input/options.ts";
import { callDaemon } from "../sessions/control-session.ts";
import { RUNNING_BACKENDS } from "../sessions/gateway-session.ts";
import { FAILED_EXIT } from "../views/results-view.ts";

interface Approval {
  readonly code: string;
  readonly user: string | null;
  readonly backends: readonly string[] | null;
  readonly readOnly: boolean;
}

/** Rejects with `permission_denied` if no page shows the code, and with `usage` without a terminal or a user. */
export async function approveProgram(
  context: CommandContext,
  { code, user: named, backends, readOnly }: Approval,
): Promise<number> {
  const { renderAccess, requestLines } = await import("../views/people-view.ts");
  const { grantText } = await import("../../api/labels/people-labels.ts");
  const { prompt } = context;
  if (prompt === null)
    throw new MountaineerError("usage", "only a person at a terminal can let a program in");
  const send = (answer: InputOf<"accessRequest">["answer"]) =>
    callDaemon(context, RUNNING_BACKENDS, "accessRequest", { code, ...(answer !== undefined && { answer }) });
  const request = await send(undefined);
  const [only = "", ...others] = request.users;
  const user = named ?? only;
  if (named === null && others.length > 0)
    throw new MountaineerError("usage", "there are several users", {
      hint: `--as ${request.users.join(", --as ")}`,
    });
  const { people } = await callDaemon(context, RUNNING_BACKENDS, "people", { user });
  const limits = { backends: backends === null ? null : [...backends], read_only: readOnly };
  const may = grantText({
    ...limits,
    ...{ id: "", name: "", answers_to: "", since: "", last_used: "" },
    resource: request.resource,
  });
  showText(context, () => [
    ...requestLines(request, Date.now()),
    `  may use      ${printable(may)}`,
    ...people.map((one) => renderAccess({ ...one, programs: [] }, context.stdoutStyle, null).trimEnd()),
  ]);
  const isAgreed = await isYes(prompt, `Let ${printable(request.name)} act as ${printable(user)}?`, "no");
  await send({ user: isAgreed ? user : null, ...limits });
  const done = `${printable(request.name)} ${isAgreed ? "is let in: its page continues" : "is refused"}`;
  showText(context, (paint) => [isAgreed ? doneLine(paint, done) : done]);
  return isAgreed ? 0 : FAILED_EXIT;
}
