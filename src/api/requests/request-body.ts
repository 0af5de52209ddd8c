// Owns the reading of request bodies on the server, by hand: the daemon then never loads zod for them. A test holds
// this to the schemas of contract-schemas.ts.
import { MountaineerError } from "../../runtime/errors.ts";
import { parseExactly } from "../../runtime/text/exact-json.ts";
import type { SwitchTarget } from "../contract.ts";
import type { ShareSelection } from "../control.ts";

/** Every field a request may have; absent ones are null or false. */
export interface RequestFields {
  readonly shares: ShareSelection;
  readonly to: SwitchTarget | null;
  readonly force: boolean;
  readonly wait: boolean;
}

const CHECKS = {
  shares: {
    holds: (value: unknown) => value === null || isTextList(value),
    expected: "a list of names, or null for all",
  },
  to: { holds: isTarget, expected: "tb, fallback or auto" },
  force: { holds: isFlag, expected: "true or false" },
  wait: { holds: isFlag, expected: "true or false" },
} as const satisfies Record<keyof RequestFields, { holds: (value: unknown) => boolean; expected: string }>;

/**
 * Reads a body that may have the `allowed` fields and no other; an empty one is `{}`. Throws `protocol`, naming the
 * field that is wrong.
 */
export function readRequestBody(text: string, allowed: readonly (keyof RequestFields)[]): RequestFields {
  const body: Partial<Record<keyof RequestFields, unknown>> = parseBodyObject(text);
  for (const [name, value] of Object.entries(body)) {
    const field = allowed.find((candidate) => candidate === name);
    if (field === undefined)
      throw wrongBody(`the body has a field that is not known here: ${name.slice(0, 64)}`);
    if (!CHECKS[field].holds(value)) throw wrongBody(`${name} is not ${CHECKS[field].expected}`);
  }
  const { shares, to, force, wait } = body;
  return {
    shares: isTextList(shares) ? shares : null,
    to: isTarget(to) ? to : null,
    force: force === true,
    wait: wait === true,
  };
}

/** The object that a body is; an empty body is `{}`. Throws `protocol`. */
export function parseBodyObject(text: string): object {
  if (text.trim() === "") return {};
  let value: unknown;
  try {
    value = parseExactly(text);
  } catch {
    throw wrongBody("the body is not JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw wrongBody("the body is not a JSON object");
  }
  return value;
}

/** The error that refuses a body. */
export function wrongBody(message: string): MountaineerError {
  return new MountaineerError("protocol", message);
}

function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function isTarget(value: unknown): value is SwitchTarget {
  return value === "tb" || value === "fallback" || value === "auto";
}

function isFlag(value: unknown): value is boolean {
  return typeof value === "boolean";
}
