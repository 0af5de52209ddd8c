// The keys that all backends may have in common: those of `[backend_defaults]`, and the same keys of a backend, which may
// leave them to it.
import { VARIABLE_NAME_FORM } from "../../runtime/text/name-forms.ts";
import { REFERENCE_FORM, STORED_FORM } from "../../secrets/reference.ts";
import { parseVariableName } from "../values/backend-names.ts";
import { isVariableText } from "../values/backend-values.ts";
import {
  choiceKey,
  type Key,
  numberKey,
  numberOrOffKey,
  optionalNumberKey,
  required,
} from "./schema-keys.ts";
import { type Members, open, optionalTable, orAbsent, table } from "./tables.ts";
import { secretText } from "./value-types.ts";

export const SECRET_EXPECTED = `a text, in which \`${REFERENCE_FORM}\` names an environment variable and \`\${${STORED_FORM}}\` a secret`;

const variableKey = required("runs", secretText(isVariableText, SECRET_EXPECTED), {
  absent: "none",
  meaning: "A variable of the program; may hold `${VARIABLE}` and `${secret:NAME}`.",
  example: `"\${FILES_TOKEN}"`,
});

const timeoutsKeys = {
  init: numberKey("free", {
    min: 0.1,
    max: 600,
    absent: 15,
    unit: "seconds",
    meaning:
      "How long it may take to answer `initialize`, from its first output. Not set: a program that has written to stderr only has 5 minutes at its first start, a silent one 60 s.",
  }),
  cap_fetch: numberKey("free", {
    min: 0.1,
    max: 600,
    absent: 10,
    unit: "seconds",
    meaning: "How long each of its lists may take to read.",
  }),
  call: optionalNumberKey(
    "free",
    {
      min: 0.1,
      max: 86_400,
      unit: "seconds",
      meaning: "How long a call may take since its start or last progress message.",
    },
    "300 for tool calls, 60 for reads, prompts and completions",
    600,
  ),
};

const choiceKeys = {
  instances: choiceKey("access", ["shared", "per-client"], "shared", {
    meaning: "Whether all clients share one instance, or each session gets its own.",
  }),
  start: choiceKey("free", ["always", "on-demand"], "always", {
    meaning: "Start the program with the gateway, or when a client first needs it. Its lists are remembered.",
  }),
  stop_when_idle: numberOrOffKey(
    "free",
    {
      min: 1,
      max: 86_400,
      unit: "seconds",
      meaning: "Stop the program when idle for so long. Only for servers that keep nothing between calls.",
    },
    600,
  ),
};

/** What applies where neither a backend nor `[backend_defaults]` has a key. */
export const builtInKeys = { ...choiceKeys, timeouts: table("", timeoutsKeys) };

type LeftOut<K> =
  K extends Key<infer Out, infer Unit extends string | null> ? Key<Out | undefined, Unit> : never;

/** The keys, which are undefined where they are absent. Their documentation still has the default. */
function leftOut<M extends Readonly<Record<string, Key<unknown>>>>(
  keys: M,
): { readonly [Name in keyof M]: LeftOut<M[Name]> } {
  const entries = Object.entries(keys).map(([name, key]) => {
    const read: Key<unknown>["read"] = (written, path, issues) =>
      written === undefined ? undefined : key.read(written, path, issues);
    return [name, { ...key, read }];
  });
  // The assertion holds: only `read` differs, and it returns what the key returns, or undefined.
  return Object.fromEntries(entries) as { readonly [Name in keyof M]: LeftOut<M[Name]> };
}

/** The keys of a backend that it may leave to `[backend_defaults]`, besides its timeouts and variables. */
export const leftToDefaults = leftOut(choiceKeys);

export const defaultableTimeouts = table("How long the gateway waits for the server.", leftOut(timeoutsKeys));

/** A table of variables, in which each key has the same meaning. */
export function variables(meaning: string, key = variableKey) {
  return orAbsent(open(meaning, parseVariableName, key, { pattern: `^${VARIABLE_NAME_FORM}$` }));
}

const commonVariableKey = required(
  "runs",
  secretText(isVariableText, `a text, in which \`${REFERENCE_FORM}\` names an environment variable`),
  {
    absent: "none",
    meaning: "A variable of every program; may hold `${VARIABLE}`. Secrets belong into a server's own `env`.",
    example: '"/etc/ssl/ours.pem"',
  },
);

export const backendDefaultKeys = {
  ...leftToDefaults,
  env: variables("Variables of every program; a server's own of the same name wins.", commonVariableKey),
  timeouts: optionalTable("How long the gateway waits for a server.", leftOut(timeoutsKeys)),
} satisfies Members;
