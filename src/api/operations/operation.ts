// One operation of the management API: its path, input and answer, and the right that a caller needs.
import { MountaineerError } from "../../runtime/errors.ts";
import type { Shape } from "../../runtime/shape.ts";
import { commandsRefused } from "./http-errors.ts";
import type { RequestShape } from "./requests.ts";

/** Default limit of a request body. */
export const BODY_LIMIT_BYTES = 64 * 1024;

/**
 * Kinds of operations whose number is limited while they run. Each kind has its own limit, so that one kind does not
 * delay another.
 */
export type LimitedKind = "steps" | "config" | "calls" | "places" | "records";

/**
 * The right needed to call over HTTP. `signed_in`: everyone who is signed in; `with_commands`: the same people, if
 * `allow_commands` is set; `owner`: tabs of the page that hold the owner's right; `socket`: no one,
 * because the operation grants access. The home's socket serves all operations.
 */
export type RequiredRight = "signed_in" | "with_commands" | "owner" | "socket";
export interface Rights {
  /** The request came over the home's socket, which only the machine's user can open. */
  readonly isOwner: boolean;
  /** The caller may change what runs on this machine, and approve what waits for approval. */
  readonly runsCommands: boolean;
  /** The page's tab that sent the request has the owner's right. */
  readonly isOwnersTab: boolean;
}

/** The rights of callers over the home's socket, or in the daemon's own process. */
export const OWNER_RIGHTS: Rights = { isOwner: true, runsCommands: true, isOwnersTab: false };

type Method = "GET" | "POST" | "PUT";

/** An output of shape `text` is answered as plain text, not as JSON. */
interface Definition<Input, Output> {
  /** The right needed to call over HTTP. Default `signed_in`. */
  readonly right?: RequiredRight;
  /** Returns who may ask with this input, where that differs from `right`. */
  readonly rightFor?: (input: Input) => RequiredRight;
  /** Absent: the body is ignored, and the input is null. */
  readonly input?: RequestShape<Input>;
  readonly output: Shape<Output>;
  /** Absent: the operation is not counted and always runs at once. */
  readonly counts?: LimitedKind;
  readonly bodyLimitBytes?: number;
}

export type Operation<Input, Output> = ReturnType<typeof operation<Output, Input>>;

/** `at`: the method, and the path after the prefix. A path that ends with a slash takes a number, the input's `n`. */
export function operation<Output, Input = null>(
  at: `${Method} ${string}`,
  definition: Definition<Input, Output>,
) {
  const { right = "signed_in", input, output, counts } = definition;
  const { rightFor = () => right, bodyLimitBytes = BODY_LIMIT_BYTES } = definition;
  const [method = "", path = ""] = at.split(" ");
  const answered = { output, counts: counts ?? null };
  return {
    method,
    path,
    right,
    rightFor,
    input: input ?? null,
    bodyLimitBytes,
    ...answered,
  };
}

/** Throws `owner_only` or `commands_refused` if the rights do not suffice for `right`. */
export function requireRight(right: RequiredRight, { isOwner, runsCommands, isOwnersTab }: Rights): void {
  if (isOwner || right === "signed_in" || (right === "owner" && isOwnersTab)) return;
  if (right === "socket" || right === "owner") {
    throw new MountaineerError("owner_only", "this is not served over HTTP", {
      hint: "run mountaineer on that machine, as the user whose daemon it is",
    });
  }
  if (!runsCommands) throw commandsRefused("only the owner may do this over HTTP here");
}
