// Types that follow from the table of operations, and the look-up of a request's operation.
import type { TypeOf } from "../../runtime/shape.ts";
import { objectOf } from "../../runtime/text/json-object.ts";
import { MANAGE_PREFIX, type StepReport } from "../contract/contract.ts";
import { type Operation, OWNER_RIGHTS, type Rights, requireRight } from "./operation.ts";
import { type ParsedBody, readRequest } from "./requests.ts";
import { OPERATIONS } from "./table.ts";

type Operations = typeof OPERATIONS;
export type OperationName = keyof Operations;
/** null for an operation without input. */
export type InputOf<Name extends OperationName> = TypeOf<NonNullable<Operations[Name]["input"]>>;
export type OutputOf<Name extends OperationName> = TypeOf<Operations[Name]["output"]>;

/** The operations that act on shares and answer with the result for each. */
export type StepOperation = {
  [Name in OperationName]: OutputOf<Name> extends StepReport ? Name : never;
}[OperationName];

/**
 * Performs all operations. Each part of the daemon, and the engine inside a command, performs some of them.
 */
export type Control = {
  readonly [Name in OperationName]: (
    input: InputOf<Name>,
    signal: AbortSignal,
    rights: Rights,
  ) => OutputOf<Name> | Promise<OutputOf<Name>>;
};

/** Asks a daemon, or the engine in this process, to perform an operation. */
export type CallOperation<Names extends OperationName = OperationName> = <Name extends Names>(
  name: Name,
  input: InputOf<Name>,
  signal: AbortSignal,
) => Promise<OutputOf<Name>>;

/** Performs operations in this process, with the owner's rights. */
export function callerOf<Names extends OperationName>(control: Pick<Control, Names>): CallOperation<Names> {
  return async (name, input, signal) => control[name](input, signal, OWNER_RIGHTS);
}

const TABLE: { readonly [Name in OperationName]: Operation<InputOf<Name>, OutputOf<Name>> } = OPERATIONS;
export const OPERATION_NAMES: readonly OperationName[] = Object.keys(OPERATIONS).filter(
  (name): name is OperationName => name in OPERATIONS,
);

/** An operation that a request's path has selected. */
export interface MatchedOperation
  extends Pick<Operations[OperationName], "method" | "counts" | "bodyLimitBytes"> {
  /**
   * Checks the body and the caller's rights, and returns the function that performs the operation. Throws `protocol`,
   * `commands_refused` and `owner_only`.
   */
  prepare(body: string | ParsedBody, rights: Rights): (signal: AbortSignal) => unknown;
}

/** The operation at a path without its query; null if none is served there. */
export function findOperation(path: string, control: Partial<Control>): MatchedOperation | null {
  if (!path.startsWith(`${MANAGE_PREFIX}/`)) return null;
  const asked = path.slice(MANAGE_PREFIX.length + 1);
  const [, base = asked, n] = /^(.+\/)(\d{1,9})$/.exec(asked) ?? [];
  const name = OPERATION_NAMES.find((each) => OPERATIONS[each].path === base);
  if (name === undefined || base.endsWith("/") !== (n !== undefined)) return null;
  return prepared(name, control, n === undefined ? null : `{"n":${Number(n)}}`);
}

/** `inPath`: the input as JSON, if the path contains it. */
function prepared<Name extends OperationName>(
  name: Name,
  control: { readonly [Each in OperationName]?: Control[Each] },
  inPath: string | null,
): MatchedOperation | null {
  const perform: Control[Name] | undefined = control[name];
  if (perform === undefined) return null;
  const { input, right, rightFor, ...asked } = TABLE[name];
  return {
    ...asked,
    prepare(body, rights) {
      requireRight(right, rights);
      const request = readRequest(inPath ?? body, input);
      requireRight(rightFor(request), rights);
      return (signal) => perform(request, signal, rights);
    },
  };
}

export function requestPath(name: OperationName, input: object | null): string {
  const { path } = OPERATIONS[name];
  return `${MANAGE_PREFIX}/${path}${path.endsWith("/") ? objectOf(input)["n"] : ""}`;
}
