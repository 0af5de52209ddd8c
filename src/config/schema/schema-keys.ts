// Declares a key of the configuration: its values, default and documentation, and the approval that a change needs.
import type { IssueDetail, KeyPath } from "../values/mistakes.ts";
import { choice, type JsonSchema, number, orOff, toggle, type Value } from "./value-types.ts";

/** The effect of a key. This effect decides in which approval mode a change of the key waits for a person. */
export type EntryKind =
  /** Decides which program runs, and with which arguments and variables. */
  | "runs"
  /** Decides which changes need an approval. */
  | "approval"
  /** Decides where a credential is sent. */
  | "sends"
  /** Decides which users may use what. */
  | "access"
  /** Decides what is watched, limited, kept or renamed, and where Mountaineer creates files and links. */
  | "guards";

/** `free`: a change needs no approval. */
export type Approval = EntryKind | "free";

/** The documentation of one key. An error shows the value that was found only if `shown` is `plain`. */
export interface KeyDoc extends Pick<Value<unknown>, "type" | "expected" | "choices" | "shown"> {
  readonly unit: string | null;
  /** The default, in words or as a value; null when the key is required. */
  readonly absent: string | null;
  readonly meaning: string;
  readonly example: string;
  readonly approval: Approval;
}

/** An error in a value, before it is put in words. */
export type Issue =
  /** The code that read the value has described the error. */
  | {
      readonly kind: "detail";
      readonly path: KeyPath;
      readonly at: "key" | "value";
      readonly detail: IssueDetail;
    }
  /** The value of a key is of the wrong kind, outside its limits, or missing. */
  | { readonly kind: "value"; readonly path: KeyPath; readonly doc: KeyDoc }
  /** The value is not the table or list that belongs here. */
  | { readonly kind: "section"; readonly path: KeyPath }
  | { readonly kind: "unknown"; readonly path: KeyPath; readonly key: string };

/** A declaration of a place in the file: a key, table or list. */
export interface Node<Out> {
  readonly isRequired: boolean;
  json(): JsonSchema;
  /** The result is an `Out` only if the call added no issue. */
  read(written: unknown, path: KeyPath, issues: Issue[]): Out;
}

export type OutOf<N> = N extends Node<infer Out> ? Out : never;

export interface Key<Out, Unit extends string | null = string | null> extends Node<Out> {
  readonly kind: "key";
  readonly doc: KeyDoc & { readonly unit: Unit };
  /** The default value; undefined: none, or one that depends on the machine or on other keys. */
  readonly fallback: Out | undefined;
  /** Converts the value for the engine; absent: no conversion. */
  readonly normalize: Value<unknown>["normalize"];
}

type Described = Pick<KeyDoc, "meaning" | "example"> & Partial<Omit<KeyDoc, "approval" | "shown" | "unit">>;

function keyOf<Out, Unit extends string | null = null>(
  approval: Approval,
  value: Value<unknown>,
  { unit, ...described }: Described & { readonly unit: Unit },
  fallback: Out | undefined,
  isRequired = false,
): Key<Out, Unit> {
  const { type, expected, choices, shown } = value;
  const doc = { absent: null, type, expected, choices, shown, ...described, unit, approval };
  const hasDefault = fallback !== undefined && !Array.isArray(fallback);
  return {
    kind: "key",
    doc,
    fallback,
    normalize: value.normalize,
    isRequired,
    json: () => ({
      ...(hasDefault ? { default: fallback } : {}),
      ...value.json,
      description: description(doc),
    }),
    read(written, path, issues) {
      const read =
        written === undefined && !isRequired
          ? fallback
          : value.read(written, (detail, at) => {
              const place = [...path, ...at];
              const member = { ...doc, type: "text", expected: "a text in quotes" };
              if (detail !== null) issues.push({ kind: "detail", path: place, at: "value", detail });
              else issues.push({ kind: "value", path: place, doc: at.length === 0 ? doc : member });
              return undefined;
            });
      // Each caller below passes a value and a default of type `Out`. undefined is returned only together with an
      // issue.
      return read as Out;
    },
  };
}

function description({ meaning, unit, absent }: KeyDoc): string {
  const parts = [meaning];
  if (unit !== null) parts.push(`In ${unit}.`);
  if (absent === null) parts.push("Required.");
  else parts.push(absent.startsWith("required") ? `${absent.replace("r", "R")}.` : `Default: ${absent}.`);
  return parts.join(" ");
}

export function required<Out>(approval: Approval, value: Value<Out>, doc: Described): Key<Out> {
  return keyOf<Out>(approval, value, { ...doc, unit: null }, undefined, true);
}

/** A key without a default value; `absent` says in words what applies without it. */
export function optional<Out>(
  approval: Approval,
  value: Value<Out>,
  doc: Described & { readonly absent: string },
): Key<Out | undefined> {
  return keyOf<Out | undefined>(approval, value, { ...doc, unit: null }, undefined);
}

export function defaulted<Out>(
  approval: Approval,
  value: Value<Out>,
  fallback: NoInfer<Out>,
  doc: Described & { readonly absent: string },
): Key<Out> {
  return keyOf<Out>(approval, value, { ...doc, unit: null }, fallback);
}

interface NumberKey<Unit> {
  readonly min: number;
  readonly max: number;
  readonly whole?: boolean;
  readonly unit: Unit;
  readonly meaning: string;
}

export function numberKey<const Unit extends string | null>(
  approval: Approval,
  { min, max, whole = false, unit, meaning, absent }: NumberKey<Unit> & { readonly absent: number },
): Key<number, Unit> {
  const shown = String(absent);
  const doc = { unit, meaning, absent: shown, example: shown };
  return keyOf(approval, number(min, max, whole, unit), doc, absent);
}

/** A number that may be absent; `absent` says in words what applies then. */
export function optionalNumberKey<const Unit extends string | null>(
  approval: Approval,
  { min, max, whole = false, unit, meaning }: NumberKey<Unit>,
  absent: string,
  example: number,
): Key<number | undefined, Unit> {
  const doc = { unit, meaning, absent, example: String(example) };
  return keyOf<number | undefined, Unit>(approval, number(min, max, whole, unit), doc, undefined);
}

/** A number, or `false`: off, which is the default. */
export function numberOrOffKey<const Unit extends string | null>(
  approval: Approval,
  { min, max, whole = false, unit, meaning }: NumberKey<Unit>,
  example: number,
): Key<number | false, Unit> {
  const doc = { unit, meaning, absent: "false", example: String(example) };
  return keyOf<number | false, Unit>(approval, orOff(number(min, max, whole, unit)), doc, false);
}

/** The key under a name for people, in forms. */
export function titled<K extends Key<unknown>>(title: string, key: K): K {
  return { ...key, json: () => ({ title, ...key.json() }) };
}

export function toggleKey(approval: Approval, absent: boolean, meaning: string): Key<boolean> {
  return defaulted(approval, toggle, absent, { meaning, absent: String(absent), example: String(absent) });
}

export function choiceKey<const Choice extends string>(
  approval: Approval,
  choices: readonly Choice[],
  absent: NoInfer<Choice>,
  doc: { readonly meaning: string },
): Key<Choice> {
  const example = `"${absent}"`;
  return defaulted(approval, choice(choices), absent, { ...doc, absent: example, example });
}
