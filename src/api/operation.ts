// What one operation of the management API is: where it is asked, with what, who may ask for it, and what it answers.
import { MountaineerError } from "../runtime/errors.ts";
import type { Shape } from "../runtime/shape.ts";
import { commandsRefused } from "./http-errors.ts";
import type { RequestShape } from "./requests.ts";

/** Of most requests' bodies. */
export const BODY_LIMIT_BYTES = 64 * 1024;

/** Kinds of requests under way: of each a number of its own, so that none holds up the others. */
export type CountedKind = "steps" | "config" | "calls" | "places" | "records";

/**
 * Who may ask over HTTP: everybody who is signed in; everybody who is, if `allow_commands` is set; nobody, because it
 * makes ways in. Over the home's socket everything is served.
 */
export type Reach = "signed_in" | "with_commands" | "socket";
/** Who asks for an operation, as far as that decides what is done. */
export interface Rights {
  /** It came over the home's own socket, which the machine's user alone can open. */
  readonly isOwner: boolean;
  /** May change what runs on this machine, and approve what waits. */
  readonly runsCommands: boolean;
}

export const OWNERS_RIGHTS: Rights = { isOwner: true, runsCommands: true };

type Method = "GET" | "POST" | "PUT";

/** What one operation is. An output that is a text is answered as one, not as JSON. */
interface Definition<Input, Output> {
  /** One line for people. */
  readonly says: string;
  /** Who may ask over HTTP. Default `signed_in`. */
  readonly reach?: Reach;
  /** Who may ask for exactly this, beyond `reach`. */
  readonly reachFor?: (input: Input) => Reach;
  /** Absent: the body is ignored, whatever it is, and the input is null. */
  readonly input?: RequestShape<Input>;
  readonly output: Shape<Output>;
  /** The kind that it counts as. Absent: it is answered at once, whatever else is under way. */
  readonly counts?: CountedKind;
  readonly bodyLimitBytes?: number;
}

export type Operation<Input, Output> = ReturnType<typeof operation<Output, Input>>;

/** `at`: the method, and the path after the prefix. A slash at its end is followed by a number, the input's `n`. */
export function operation<Output, Input = null>(
  at: `${Method} ${string}`,
  definition: Definition<Input, Output>,
) {
  const { says, reach = "signed_in", input, output, counts } = definition;
  const { reachFor = () => reach, bodyLimitBytes = BODY_LIMIT_BYTES } = definition;
  const [method = "", path = ""] = at.split(" ");
  const answered = { output, counts: counts ?? null };
  return { method, path, says, reach, reachFor, input: input ?? null, bodyLimitBytes, ...answered };
}

/** Throws `owner_only` and `commands_refused`. */
export function requireReach(reach: Reach, { isOwner, runsCommands }: Rights): void {
  if (isOwner || reach === "signed_in") return;
  if (reach === "socket") {
    throw new MountaineerError("owner_only", "this is not served over HTTP", {
      hint: "run mountaineer on that machine, as the user whose daemon it is",
    });
  }
  if (!runsCommands) throw commandsRefused("only the owner may do this over HTTP here");
}
