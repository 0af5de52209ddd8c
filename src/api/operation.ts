// What one operation of the management API is: whom it asks, with what, who may ask for it, and what it answers.
import { MountaineerError } from "../runtime/errors.ts";
import type { Rights } from "./access-contract.ts";
import type {
  AccessControl,
  ConfigControl,
  DaemonControl,
  FleetControl,
  GatewayControl,
  HandoverControl,
  LogControl,
  PlaceControl,
  TimelineControl,
} from "./control.ts";
import { gatewayOff } from "./gateway-names.ts";
import { commandsRefused } from "./http-errors.ts";
import { type RequestShape, readRequest } from "./requests.ts";
import type { Shape } from "./shape.ts";

/** Of most requests' bodies. */
export const BODY_LIMIT_BYTES = 64 * 1024;

/** Whom an operation asks. */
export interface Served {
  readonly control: DaemonControl;
  /** null serves nothing about the configuration. */
  readonly config: ConfigControl | null;
  /** null refuses all that is about the gateway with `gateway_off`. */
  readonly gateway: GatewayControl | null;
  /** Absent serves nothing about places. */
  readonly places?: PlaceControl | undefined;
  /** Absent serves no handover. */
  readonly handover?: HandoverControl | undefined;
  /** Absent serves nothing of the daemon's log. */
  readonly log?: LogControl | undefined;
  /** Absent serves nothing of the last day. */
  readonly timeline?: TimelineControl | undefined;
  /** Absent serves nothing of a fleet. */
  readonly fleet?: FleetControl | undefined;
  /** Absent: nobody comes in over HTTP. */
  readonly access?: AccessControl | undefined;
}

/** Kinds of requests under way: of each a number of its own, so that none holds up the others. */
export type CountedKind = "steps" | "config" | "calls" | "places" | "records";

type Part = keyof Served;
/**
 * Over HTTP: who is signed in; who is, and may change what runs here; nobody, as it makes ways in. Over the home's socket
 * everything is served.
 */
export type Reach = "signed_in" | "with_commands" | "socket";
type Method = "GET" | "POST" | "PUT";

/** What one operation is. The output of `historyText` alone is a text, and answered as one. */
interface Definition<P extends Part, Input, Output> {
  readonly part: P;
  /** Method, and path after the prefix. A slash at its end is followed by a number, the input's `n`. */
  readonly at: `${Method} ${string}`;
  /** One line for people. */
  readonly says: string;
  /** Who may ask over HTTP. Default `signed_in`. */
  readonly reach?: Reach;
  /** Absent: the body is ignored, whatever it is. */
  readonly input?: RequestShape<Input>;
  readonly output: Shape<Output>;
  /** Which kind of requests under way it counts among. Absent: it is answered at once, whatever is under way. */
  readonly counts?: CountedKind;
  readonly bodyLimitBytes?: number;
  readonly perform: (
    part: NonNullable<Served[P]>,
    input: Input,
    signal: AbortSignal,
    rights: Rights,
  ) => Output | Promise<Output>;
}

/**
 * Reads the body first, so that a bad one is refused before anything is begun. Throws `protocol`, `gateway_off`,
 * `commands_refused` and `owner_only`.
 */
type Prepare = (body: string, served: Served, rights: Rights) => (signal: AbortSignal) => unknown;

export function operation<P extends Part, Input, Output>(definition: Definition<P, Input, Output>) {
  const {
    part: name,
    at,
    says,
    reach = "signed_in",
    input,
    output,
    counts = null,
    bodyLimitBytes = BODY_LIMIT_BYTES,
    perform,
  } = definition;
  const [method = "", path = ""] = at.split(" ");
  const prepare: Prepare = (body, served, rights) => {
    requireReach(reach, rights);
    const part = served[name];
    if (part === null || part === undefined) throw gatewayOff();
    const request = input === undefined ? (null as Input) : readRequest(body, input);
    return (signal) => perform(part, request, signal, rights);
  };
  const shapes = { input: input ?? null, output };
  return { part: name, method, path, says, reach, ...shapes, counts, bodyLimitBytes, perform, prepare };
}

/** Throws `owner_only` and `commands_refused`. */
export function requireReach(reach: Reach, { isOwner, runsCommands }: Rights): void {
  if (isOwner || reach === "signed_in") return;
  if (reach === "socket") {
    throw new MountaineerError("owner_only", "this is not served over HTTP", {
      hint: "run mountaineer on that machine, as the user whose daemon it is",
    });
  }
  if (!runsCommands) throw commandsRefused("nothing is approved over HTTP here");
}
